"""What a metric is, and the metrics by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ....graph_rewrites.errors import UsageError, closest
from ..subject import Subject

Value: TypeAlias = Any  # plain JSON: a number, or what `summarise` needs
Measured: TypeAlias = list[tuple[str, Value]]  # the data set's class, or "" of the whole image, and the value
Measure: TypeAlias = Callable[[Subject, str], Measured]
Summarise: TypeAlias = Callable[[Measured], dict[str, float]]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as users call it.
        measure: the values of one method on one image; plain JSON.
        summarise: the figures of many images, by column, of the values in the data set's order.
        columns: the figures, and whether higher is better: 1, or -1 where lower is; 0 of what is no quality.
        grade: what ranks images from bad (0) to good (1), of a value; None where single images have no such grade.
        needs_truth: whether maps are compared with the annotation, so that a map that knows nothing is worth comparing.
        at_input: whether it works on the model's input, which ten crops do not share.
        top: how many of the best predictions it needs explained.
    """

    name: str
    measure: Measure
    summarise: Summarise
    columns: dict[str, int]
    grade: Callable[[Value], float] | None = None
    needs_truth: bool = False
    at_input: bool = False
    top: int = 0


METRICS: dict[str, Metric] = {}


def find_metrics(names: Sequence[str]) -> list[Metric]:
    """The metrics of these names, each once.

    Raises:
        UsageError: an unknown name, or none at all.
    """
    for name in names:
        if name not in METRICS:
            raise UsageError(f"unknown metric {name!r}; {closest(name, METRICS)}")
    if not names:
        raise UsageError(f"no metric given; choose some of {', '.join(METRICS)}")
    return [METRICS[name] for name in dict.fromkeys(names)]


def metric(name: str, columns: dict[str, int], summarise: Summarise, **properties: Any) -> Callable[[Measure], Measure]:
    """Registers the decorated function as the measure of a metric.

    Raises:
        ValueError: there is one of this name already.
    """

    def register(measure: Measure) -> Measure:
        if name in METRICS:
            raise ValueError(f"a metric named {name!r} is registered already")
        METRICS[name] = Metric(name, measure, summarise, columns, **properties)
        return measure

    return register


def mean(column: str) -> Summarise:
    """Reports the mean of single numbers."""
    return lambda measured: {column: mean_of([value for _, value in measured])}


def mean_of(values: Sequence[float | None]) -> float:
    """The mean of the values that there are; NaN of none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else math.nan
