"""The figures of a run: of many images by method, and of single images from best to worst."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .metrics import Metric


@dataclass(frozen=True)
class Case:
    """What a metric finds of one class of one image by one method; `grade` is from 0, bad, to 1."""

    image: str
    label: str
    method: str
    metric: str
    value: Any
    grade: float | None


def cases(records: Iterable[Mapping[str, Any]], metrics: Sequence[Metric]) -> list[Case]:
    """The cases of all images that were measured."""
    return [
        Case(record["image"], label, method, metric.name, value, _grade(metric, value))
        for record in records
        for method, measures in record.get("measures", {}).items()
        for metric in metrics
        for label, value in measures.get(metric.name, ())
    ]


def summary(
    records: Sequence[Mapping[str, Any]], metrics: Sequence[Metric], methods: Sequence[str]
) -> dict[str, dict[str, float]]:
    """The figures by method and column; NaN where nothing was measured, no column where the metric is not of it."""
    found: dict[str, dict[str, float]] = {}
    for method in methods:
        found[method] = {}
        for metric in metrics:
            lists = [record["measures"][method].get(metric.name) for record in records if "measures" in record]
            if any(measured is not None for measured in lists):
                values = [(label, value) for measured in lists for label, value in measured or ()]
                found[method] |= metric.summarise(values) if values else dict.fromkeys(metric.columns, math.nan)
    return found


def summary_csv(found: Mapping[str, Mapping[str, float]]) -> str:
    """The figures as CSV, a method a row."""
    columns = list(dict.fromkeys(column for figures in found.values() for column in figures))
    rows = [[method, *(_text(figures.get(column)) for column in columns)] for method, figures in found.items()]
    return _csv([["method", *columns], *rows])


def cases_csv(found: Iterable[Case]) -> str:
    """The cases as CSV, one a row; values that are no number have none but their grade."""
    rows = [
        [
            case.image,
            case.label,
            case.method,
            case.metric,
            _text(case.value if isinstance(case.value, int | float) else None),
            _text(case.grade),
        ]
        for case in found
    ]
    return _csv([["image", "class", "method", "metric", "value", "grade"], *rows])


def _grade(metric: Metric, value: Any) -> float | None:
    return None if metric.grade is None or value is None else float(metric.grade(value))


def _text(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else repr(float(value))


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
