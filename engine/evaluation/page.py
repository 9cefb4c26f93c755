"""The figures of a run and its best and worst cases as one HTML page that needs a browser and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ...graph_rewrites.model.metadata import VERSION
from ..datasets.dataset import Dataset
from ..explanation import Explanation
from ..images.files import Image, atomic_write_bytes
from ..render.html import html_template
from ..render.report.encode import photo, picture_url
from .evaluator import Evaluator, decode
from .metrics import Metric, find_metrics
from .run import Evaluation
from .subject import CENTRE, Subject
from .summary import Case
from .tables import ARROWS, best_of, columns_of, figure_text

FOLDER = Path(__file__).parent
REPORT_STYLE = FOLDER.parent / "render" / "report" / "report.css"
SHOWN = 4  # best and worst cases of each method
PAGE = "index.html"
BOX = (255, 255, 255)
LISTED = 50  # failures; all of them are in the results


def write_page(
    found: Evaluation, evaluator: Evaluator, dataset: Dataset, *, rank_by: str | None = None, shown: int = SHOWN
) -> Path:
    """Writes the page into the run's folder; the cases that it shows are explained once more.

    Args:
        found: the run.
        evaluator: what measured it.
        dataset: its images.
        rank_by: the metric that tells the best cases from the worst; default: the first that grades single images.
        shown: how many of each.

    Raises:
        UsageError: `rank_by` is no metric of the run, or one that does not grade single images.
        OnnxplainError: the page cannot be written.
    """
    metric = rank_metric(evaluator.metrics, rank_by)
    columns = columns_of(found, evaluator.metrics)
    drawn = _Pictures(evaluator, dataset)
    page = html_template(FOLDER / "page.html.j2").render(
        title=f"{evaluator.model.name}: how good its explanations are",
        version=VERSION,
        style=REPORT_STYLE.read_text(encoding="utf-8") + (FOLDER / "page.css").read_text(encoding="utf-8"),
        columns=columns,
        figures=found.figures,
        arrows=ARROWS,
        best=best_of(found, columns),
        centre=CENTRE,
        text=figure_text,
        metric=metric,
        groups=[
            {"method": method, "best": _drawn(best, drawn), "worst": _drawn(worst, drawn)}
            for method in evaluator.maps.methods
            for best, worst in [extremes(found.cases, method, metric, shown)]
        ],
        found=found,
        listed=LISTED,
        facts={"Data": f"{dataset.kind}, {dataset.path}", "Preprocessing": str(evaluator.maps.preprocess)},
    )
    atomic_write_bytes(found.folder / PAGE, page.encode())
    return found.folder / PAGE


def rank_metric(metrics: Sequence[Metric], name: str | None) -> Metric | None:
    """The metric that ranks cases; None where no metric of the run can.

    Raises:
        UsageError: the one named is not of the run, or grades no single images.
    """
    if name is None:
        return next((metric for metric in metrics if metric.grade), None)
    (metric,) = find_metrics([name])
    if metric not in metrics or metric.grade is None:
        why = "is not measured" if metric not in metrics else "grades no single images"
        raise UsageError(f"metric {name!r} {why}, so it cannot rank them; take another for --rank-by")
    return metric


def extremes(cases: Sequence[Case], method: str, metric: Metric | None, shown: int) -> tuple[list[Case], list[Case]]:
    """A method's best cases, best first, and its worst, worst first; no case is in both."""
    graded = [
        case
        for case in cases
        if metric is not None and (case.method, case.metric) == (method, metric.name) and case.grade is not None
    ]
    ranked = sorted(graded, key=lambda case: -(case.grade or 0))
    shown = min(shown, len(ranked) // 2 or len(ranked))
    return ranked[:shown], ranked[shown:][::-1][:shown]


class _Pictures:
    """Draws cases; images are explained again, one after another."""

    def __init__(self, evaluator: Evaluator, dataset: Dataset) -> None:
        self._evaluator, self._dataset = evaluator, dataset
        self._subjects: dict[str, Subject] = {}

    def of(self, case: Case) -> dict[str, Any] | None:
        """The picture of a case and what stands below it; None where the image is no longer to be had."""
        try:
            if case.image not in self._subjects:
                self._subjects[case.image] = self._evaluator.subject(*decode(self._dataset.entries[case.image]))
            subject = self._subjects[case.image]
            explanation = dict(subject.by_class(case.method))[case.label]
            picture = picture_url(photo(_annotated(explanation, subject, case.label)))
        except OnnxplainError:
            return None
        return {"picture": picture, "name": case.image, "label": case.label, "grade": case.grade or 0.0}


def _drawn(cases: Sequence[Case], pictures: _Pictures) -> list[dict[str, Any]]:
    return [drawn for case in cases if (drawn := pictures.of(case))]


def _annotated(explanation: Explanation, subject: Subject, label: str) -> Image:
    """The explanation's picture with the outline of the objects."""
    picture = np.ascontiguousarray(explanation.picture())
    if subject.truth.of(label):
        mask = subject.region(label).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        thick = max(1, round(max(mask.shape) / 200))
        cv2.drawContours(picture, outlines, -1, (0, 0, 0), thick + 2)
        cv2.drawContours(picture, outlines, -1, BOX, thick)
    return np.asarray(picture, np.uint8)
