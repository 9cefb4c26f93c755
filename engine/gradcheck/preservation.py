"""Whether the model's own outputs survive the rewriting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from ..runtime.session import Session, without_fusions
from .finding import Finding

Feeds = Mapping[str, np.ndarray]


def preservation(
    original: onnx.ModelProto,
    explained: onnx.ModelProto,
    runs: Sequence[tuple[Feeds, Feeds]],
    providers: Sequence[str] | None,
    tolerance: float,
) -> Finding:
    """Compares the outputs of the two models.

    Args:
        original: the plain model.
        explained: the explained one.
        runs: what each is fed, run by run.
        providers: ONNX Runtime providers.
        tolerance: of differences relative to the largest value.
    """
    same = _compared(original, explained, runs, providers, None, tolerance)
    if same.passed:
        return same
    # Where the gradient reads what lies between two nodes, they are not fused. Of quantised and float16 models that
    # rounds outputs otherwise, by whole steps.
    unfused = _compared(original, explained, runs, providers, without_fusions(), tolerance)
    return replace(same, passed=unfused.passed, detail=f"{same.detail}; without fusions {unfused.detail}")


def _compared(
    original: onnx.ModelProto,
    explained: onnx.ModelProto,
    runs: Sequence[tuple[Feeds, Feeds]],
    providers: Sequence[str] | None,
    options: Any,
    tolerance: float,
) -> Finding:
    plain, rewritten = (Session(model, providers, options) for model in (original, explained))
    worst = max(_difference(plain, rewritten, *feeds) for feeds in runs)
    detail = "bit for bit" if worst == 0 else f"largest relative difference {worst:.1e}"
    return Finding("original outputs", worst <= tolerance, detail, len(runs))


def _difference(plain: Session, rewritten: Session, before: Feeds, after: Feeds) -> float:
    """The largest difference of an output, relative to its largest value; infinite where integers differ."""
    expected = plain.run(None, {name: before[name] for name in plain.inputs})
    found = rewritten.run(plain.outputs, after)
    worst = 0.0
    for value, other in zip(expected, found, strict=True):
        if value.dtype.kind == "f" and value.shape == other.shape:
            with np.errstate(invalid="ignore"):  # infinities that stay what they are
                difference = np.where(value == other, 0, np.abs(value.astype(np.float64) - other))
            worst = max(worst, float(difference.max(initial=0) / max(np.abs(value).max(initial=0), 1e-30)))
        elif not np.array_equal(value, other):
            worst = np.inf
    return worst
