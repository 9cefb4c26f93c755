"""Occlusion by patches of several sizes, beside the map of another method and compared with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...graph_rewrites.model.model import ModelSource, parse
from ..compare import Comparison, compare, name_of
from ..evaluation.measures.rank_correlation import rank_correlation
from ..explainer import Source
from ..explanation import Explanation
from ..multi_pass.occlusion import PAPER_SIZES

RANK_CORRELATION = "rank_correlation"


def occlusion_sizes(
    model: ModelSource,
    image: Source,
    sizes: Sequence[int] = PAPER_SIZES,
    *,
    against: str | None = None,
    options: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Comparison:
    """Occlusion maps of one image, a row for each size of the patch.

    The rank correlation of occlusion with gradient methods is the measure of faithfulness of Selvaraju et al. 2017,
    section 5.3; the sizes are those of their figure A6.

    Args:
        model: path or `ModelProto`.
        image: a path, or a uint8 [H, W, 3] RGB array.
        sizes: sides of the patch in pixels of the model's input, each once.
        against: a method whose map is the first row; the others then have their rank correlation with it in
            `details`, unless one of the two is the same everywhere.
        options: further options of occlusion, such as {"stride": 5}.
        arguments: further arguments of `compare`, such as `target`.

    Raises:
        UsageError, OnnxplainError: as `Explainer`.
    """
    source, rows = parse(model), {}
    if against is not None:
        rows[against] = compare(source, image, methods=[against], **arguments)
    for size in dict.fromkeys(sizes):
        each = {**(options or {}), "size": size}
        rows[f"{size} pixels"] = compare(source, image, methods=["occlusion"], options=each, **arguments)
    stacked = Comparison.stacked(rows)
    return stacked if against is None else _compared(stacked, against)


def described(explanation: Explanation) -> str:
    """The class and its score, or the rank correlation where there is one."""
    value = explanation.details.get(RANK_CORRELATION)
    return name_of(explanation) if value is None else f"rank correlation {value:.3f}"


def _compared(comparison: Comparison, reference: str) -> Comparison:
    """The same with the rank correlation of each map with that of the reference's row, class by class."""
    maps = {one.target: one.heatmap for (row, _), one in comparison.cells.items() if row == reference}
    cells = dict(comparison.cells)
    for (row, column), one in comparison.cells.items():
        value = rank_correlation(one.heatmap, maps[one.target])
        if row != reference and not math.isnan(value):
            cells[row, column] = replace(one, details={**one.details, RANK_CORRELATION: value})
    return Comparison(comparison.rows, comparison.columns, cells)
