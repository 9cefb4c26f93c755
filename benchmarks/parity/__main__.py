"""Runs every comparison and prints the table; see the package's docstring."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from onnxplain import METHODS
from onnxplain.engine.multi_pass.registry import MULTI_PASS

from . import captum_peer as captum_peer
from . import grad_cam_peer as grad_cam_peer
from . import zennit_peer as zennit_peer
from .comparison import COMPARISONS, LIMIT, Comparison
from .models import SHAPES, subject

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"
BEGIN, END = "<!-- parity:begin -->", "<!-- parity:end -->"
PEERS = ("grad-cam", "captum", "zennit", "torch")
TINY = 1e-12  # smaller errors hang on the order of summation


def main(arguments: Sequence[str]) -> int:
    """Prints the table, and writes it where asked to; returns the exit code."""
    if list(arguments) not in ([], ["--write"]):
        print("usage: python -m benchmarks.parity [--write]", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    subjects = [subject(name) for name in SHAPES]
    order = [*METHODS, *MULTI_PASS]
    rows = [
        (comparison, {one.name: comparison.error(one) for one in subjects})
        for comparison in sorted(COMPARISONS, key=lambda one: order.index(one.method))
    ]
    table = _table(rows, sorted({*order} - {one.method for one in COMPARISONS}))
    print(table)
    unexplained = [
        f"{comparison.method}, {comparison.peer}, {name}: {error:.1e}"
        for comparison, errors in rows
        for name, error in errors.items()
        if _is_off(error) and name not in comparison.differs
    ]
    for line in unexplained:
        print(f"differs, and no reason is stated: {line}", file=sys.stderr)
    if arguments:
        _write(table)
    return 1 if unexplained else 0


def _table(rows: Sequence[tuple[Comparison, dict[str, float | None]]], alone: Sequence[str]) -> str:
    measured = ", ".join(f"{name} {version(name).partition('+')[0]}" for name in PEERS)
    lines = [
        f"Measured with {measured}. The number is the length of the difference over the length of the peer's map. It "
        f"is **bold** where it exceeds {LIMIT:.0e}; the remark gives the reason. A dash: one side has no such map.",
        "",
        f"| method | peer | {' | '.join(SHAPES)} | remark |",
        f"|---|---|{'---|' * len(SHAPES)}---|",
    ]
    for comparison, errors in rows:
        cells = " | ".join(_cell(error) for error in errors.values())
        lines.append(f"| `{comparison.method}` | {comparison.peer} | {cells} | {comparison.remark} |")
    return "\n".join([*lines, "", f"None of these peers has {', '.join(f'`{name}`' for name in alone)}."])


def _cell(error: float | None) -> str:
    if error is None:
        return "-"
    text = f"{error:.2g}" if error >= 0.01 else f"{error:.0e}" if error > TINY else f"<{TINY:.0e}"
    return f"**{text}**" if _is_off(error) else text


def _is_off(error: float | None) -> bool:
    return error is not None and not error <= LIMIT  # so that NaN is off


def _write(table: str) -> None:
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if BEGIN not in page or END not in page:
        sys.exit(f"{PAGE}: the markers {BEGIN} and {END}, between which the table goes, are missing")
    before, rest = page.split(BEGIN, 1)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
