"""What a run found, for people and programs that read it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from .metrics import Metric
from .run import Evaluation
from .subject import CENTRE

# Whether higher is better, or lower.
ARROWS = {1: "\N{UPWARDS ARROW}", -1: "\N{DOWNWARDS ARROW}", 0: ""}


def evaluation_data(found: Evaluation) -> dict[str, Any]:
    """The figures as plain JSON types; None where nothing was measured, and of a threshold that is not finite."""
    figures = {
        method: {column: value if math.isfinite(value) else None for column, value in row.items()}
        for method, row in found.figures.items()
    }
    return {
        "folder": str(found.folder),
        "measured": found.measured,
        "resumed": found.resumed,
        "failures": [str(failure) for failure in found.failures],
        "figures": figures,
    }


def columns_of(found: Evaluation, metrics: Sequence[Metric]) -> dict[str, int]:
    """The columns that some method has, and whether higher is better (1), lower (-1), or neither (0)."""
    better = {column: sign for metric in metrics for column, sign in metric.columns.items()}
    return {column: sign for column, sign in better.items() if any(column in row for row in found.figures.values())}


def best_of(found: Evaluation, columns: dict[str, int]) -> dict[str, float]:
    """The best figure of each column that has one, the baseline left out."""
    best = {}
    for column, sign in columns.items():
        values = [row[column] for method, row in found.figures.items() if method != CENTRE and column in row]
        if sign and (known := [value for value in values if math.isfinite(value)]):
            best[column] = max(known) if sign > 0 else min(known)
    return best


def figure_text(value: float | None) -> str:
    """A figure as it is shown; nothing of what a method has not, a dash where nothing was measured."""
    if value is None:
        return ""
    return "-" if math.isnan(value) else f"{value:.3f}" if math.isfinite(value) else "none" if value < 0 else "all"


def evaluation_table(found: Evaluation, metrics: Sequence[Metric]) -> Table:
    """The figures, a method a column; the best of each row in bold."""
    columns = columns_of(found, metrics)
    best = best_of(found, columns)
    table = Table("")
    for method in found.figures:
        table.add_column(method, overflow="fold", justify="right")
    for column, sign in columns.items():
        texts = []
        for method, row in found.figures.items():
            is_best = method != CENTRE and column in best and row.get(column) == best[column]
            text = figure_text(row.get(column))
            texts.append(f"[bold]{text}[/bold]" if is_best else text)
        table.add_row(f"{column} {ARROWS[sign]}".strip(), *texts)
    total = found.measured + len(found.failures)
    before = f", {found.resumed} of them before" if found.resumed else ""
    table.caption = f"{found.measured} of {total} images{before}; {found.folder}"
    return table
