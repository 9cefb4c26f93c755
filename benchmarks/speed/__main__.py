"""Measures and prints; see the package's docstring."""

from __future__ import annotations

import os
import platform
import tempfile
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import onnxruntime
import typer
from rich.console import Console

from studies.page import table as table_text

from .architectures import ARCHITECTURES
from .cases import CASES, CLASSES, PLAIN, Built, built
from .memory import peak
from .profile import profile, table
from .timing import interleaved

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
SECONDS, ROUNDS = 20.0, 12  # for each model and batch, at least
LOADS = 3
SEVERAL, SWEEP = f"Grad-CAM of {CLASSES} classes", "all layers"
METHODS = [name for name in CASES if name not in (SEVERAL, SWEEP)]
console = Console()


class Measured(NamedTuple):
    """What one model costs: seconds, bytes, seconds to load, by case; and its files."""

    times: dict[str, float]
    memory: dict[str, int]
    loading: dict[str, float]
    files: dict[str, Built]


def measure(name: str, batch: int, seconds: float) -> Measured:
    """Builds, runs and weighs one model."""
    with tempfile.TemporaryDirectory() as folder:
        files = built(ARCHITECTURES[name](), Path(folder), batch)
        memory = {case: peak(one) for case, one in files.items() if case in (PLAIN, *METHODS)}
        loading = interleaved({case: one.session for case, one in files.items() if case in memory}, 0, LOADS)
        sessions = {case: one.session() for case, one in files.items()}

        def run(case: str) -> Any:
            return sessions[case].run(None, files[case].feeds)

        times = interleaved({case: partial(run, case) for case in files}, seconds, ROUNDS)
    return Measured(times, memory, loading, files)


def time_row(name: str, batch: int, found: Measured) -> list[str]:
    """Ratios of times: to the plain model, to one class, to the whole input gradient."""
    times = found.times
    ratios = [_ratio(times, case, PLAIN) for case in METHODS]
    further = [_ratio(times, SEVERAL, "Grad-CAM"), _ratio(times, SWEEP, "gradient")]
    return [name, str(batch), f"{times[PLAIN] * 1e3:.1f}", *ratios, *further]


def cost_row(name: str, batch: int, found: Measured) -> list[str]:
    """Ratios of memory and loading to the plain model's, seconds to rewrite, and the growth of the file."""
    files = [found.files[case] for case in ("Grad-CAM", "gradient")]
    ratios = [_ratio(one, case, PLAIN) for one in (found.memory, found.loading) for case in ("Grad-CAM", "gradient")]
    memory = f"{found.memory[PLAIN] / 1e6:.0f}"
    return [name, str(batch), memory, *ratios, *(f"{one.rewriting:.2f}" for one in files), f"{files[1].growth:.2%}"]


TIMES = ["model", "batch", "plain, ms", *METHODS, f"{CLASSES} classes to one", "all layers to gradient"]
COSTS = [
    "model", "batch", "plain, MB", "memory: Grad-CAM", "gradient", "loading: Grad-CAM", "gradient",
    "rewriting, s: Grad-CAM", "gradient", "file growth",
]  # fmt: skip


def main(
    models: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="May be repeated; default: 1 and 8.")] = None,
    seconds: Annotated[float, typer.Option(help="How long each model and batch is timed, at least.")] = SECONDS,
    profiled: Annotated[str | None, typer.Option("--profile", help="Show times by operator of this case.")] = None,
) -> None:
    """Measure what explanations cost."""
    names = models or list(ARCHITECTURES)
    if unknown := [name for name in names if name not in ARCHITECTURES]:
        raise typer.BadParameter(f"no model {unknown[0]!r}; there are {', '.join(ARCHITECTURES)}")
    if profiled is not None and profiled not in CASES:
        raise typer.BadParameter(f"no case {profiled!r}; there are {', '.join(CASES)}")
    if profiled is not None:
        for name in names:
            show_profile(name, profiled)
        return
    times, costs = [], []
    for name in names:
        for size in batch or (1, 8):
            found = measure(name, size, seconds)
            times.append(time_row(name, size, found))
            costs.append(cost_row(name, size, found))
            console.print(f"{name}, batch {size}: {', '.join(times[-1][2:])}")
    text = page(times, costs)
    print(text)
    if not models and not batch:
        RESULTS.write_text(text)


def show_profile(name: str, case: str) -> None:
    """Prints the times by operator of the plain model and of one case."""
    with tempfile.TemporaryDirectory() as folder:
        files = built(ARCHITECTURES[name](), Path(folder), 1)
        if case not in files:
            raise typer.BadParameter(f"{name} has no ReLU, so that {case!r} changes nothing")
        console.print(name, table({one: profile(files[one]) for one in (PLAIN, case)}))


def page(times: list[list[str]], costs: list[list[str]]) -> str:
    """The text of RESULTS.md."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("onnxplain", "onnx", "numpy"))
    return f"""# What an explanation costs

Made by `python -m benchmarks.speed` on {os.cpu_count()} cores of {processor}; Python {platform.python_version()},
ONNX Runtime {onnxruntime.__version__}, {versions}. Weights are random and seeded, images are 224 x 224. All
figures but milliseconds, megabytes and seconds are ratios to the plain model, measured in turn in one run; medians.

## Time

{table_text(TIMES, times)}

## Memory, loading, rewriting

{table_text(COSTS, costs)}
"""


def _ratio(values: dict[str, Any], case: str, to: str) -> str:
    return f"{values[case] / values[to]:.2f}" if case in values and to in values else "-"


if __name__ == "__main__":
    typer.run(main)
