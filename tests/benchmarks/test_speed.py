"""The page of results of `benchmarks/speed`, and how times are taken."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks.speed import timing
from benchmarks.speed.architectures import ARCHITECTURES
from benchmarks.speed.pages import GOALS, SEVERAL, SWEEP, Results, page

CASES = {"plain": 1.0, "Grad-CAM": 1.05, SEVERAL: 1.1, "gradient": 2.0, SWEEP: 2.3}
COSTS = {
    "memory": {"plain": 5e6, "Grad-CAM": 6e6, "gradient": 13e6},
    "loading": {"plain": 1.0, "Grad-CAM": 1.5, "gradient": 3.0},
    "growth": {"Grad-CAM": 0.01, "gradient": 0.011},
}


def rows_of(text: str, first: str) -> list[list[str]]:
    """The cells of the table rows that begin so."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith(first)]


def test_a_cell_spans_all_runs_and_is_bold_where_one_misses_its_goal() -> None:
    runs = [{**CASES, "gradient": gradient} for gradient in (2.2, 2.304, 2.31)]
    times, costs = rows_of(page(Results({("ResNet-50", 8): runs}, {("ResNet-50", 8): COSTS})), "| ResNet-50 | 8 ")
    # 2.304 is 2.30, which meets the goal of 2.3; 2.31 does not. 2.3 / 2.2 is all layers at its most.
    assert times == ["ResNet-50", "8", "1.05", "**2.20 to 2.31**", "-", "-", "1.05", "1.00 to 1.05"]
    assert costs == ["ResNet-50", "8", "5", "1.20", "**2.60**", "1.50", "3.00", "1.00%", "**1.10%**"]


def test_peers_are_to_take_longer() -> None:
    times = {
        "plain": 1.0,
        "torch": 2.0,
        "Grad-CAM": 1.0,
        "gradient": 2.0,
        "pytorch-grad-cam": 3.9,
        "torch.autograd": 2.6,
    }
    text = page(Results(peers={("VGG-16", 1): {"times": times, "apart": {"pytorch-grad-cam": 2e-6}}}))
    ratios, apart = rows_of(text, "| VGG-16")
    assert ratios == ["VGG-16", "1", "2.00", "**3.90**", "-", "1.30", "-", "-"]
    assert apart == ["VGG-16", "1", "2e-06", "-", "-", "-", "-"]


def test_every_architecture_has_its_goals() -> None:
    assert GOALS.keys() == ARCHITECTURES.keys()


@pytest.mark.parametrize(("seconds", "rounds", "expected"), [(0, 3, 3), (60, 1, 6)])
def test_all_run_in_turn(seconds: float, rounds: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One round warms up; a short run is done twice and the second counts, a long one once. On a clock of its own."""
    now, order = 0.0, []

    def sleep(duration: float) -> None:
        nonlocal now
        now += duration

    def short() -> None:
        order.append("short")
        sleep(0.2 if order.count("short") % 2 else 0.1)

    def long() -> None:
        order.append("long")
        sleep(5.0)

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: now, sleep=sleep))
    got = timing.interleaved({"short": short, "long": long}, seconds, rounds, pause=2.0)
    assert order == ["short", "short", "long"] * (1 + expected)
    assert got == {"short": pytest.approx(0.1), "long": pytest.approx(5.0)}
