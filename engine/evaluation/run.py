"""A run over a data set: streamed, resumed where it was cut off, failures collected."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...graph_rewrites.errors import OnnxplainError
from ..datasets.dataset import Dataset, Entry
from ..images.files import atomic_write_bytes
from ..records.journal import Journal
from .evaluator import Decoded, Evaluator, decode, failed
from .summary import Case, cases, cases_csv, summary, summary_csv

RESULTS, SUMMARY, CASES = "results.jsonl", "summary.csv", "cases.csv"

Records = Iterator[dict[str, Any]]
Measure = Callable[[Mapping[str, Entry]], Records]  # the images to measure, by name
Progress = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class Evaluation:
    """What a run found.

    Attributes:
        folder: where it is written: results.jsonl, summary.csv, cases.csv.
        figures: by method and column.
        cases: of every image, class, method and metric.
        measured: how many images were measured, in this run and before.
        resumed: how many of them before.
        failures: the images that could not be.
    """

    folder: Path
    figures: dict[str, dict[str, float]]
    cases: list[Case]
    measured: int
    resumed: int
    failures: list[OnnxplainError]


def evaluate(
    evaluator: Evaluator,
    dataset: Dataset,
    folder: Path,
    *,
    measure: Measure | None = None,
    workers: int = 2,
    progress: Progress = lambda steps, total: steps,
) -> Evaluation:
    """Measures the images of a data set that are not measured yet, and reports on all of them.

    Args:
        evaluator: what is measured.
        dataset: the images.
        folder: where results are written, which must be there; results of the same run in it are gone on with.
        measure: measures images elsewhere, in any order; default: here, one after another.
        workers: threads that read images ahead.
        progress: `(steps, total) -> steps`, which passes the images on and may show how far they are.

    Raises:
        UsageError: the folder holds results of another run, or classes are not mapped.
        OnnxplainError: the results cannot be written.
    """
    evaluator.check(dataset)
    here: Measure = lambda images: measured_here(evaluator, images, workers)  # noqa: E731
    identity = evaluator.identity | {"data": f"{dataset.kind} {dataset.path.name} {dataset.fingerprint}"}
    with Journal(folder / RESULTS, identity) as journal:
        resumed = len(journal.done & dataset.entries.keys())
        todo = {name: entry for name, entry in dataset.entries.items() if name not in journal.done}
        for record in progress((measure or here)(todo), len(todo)):
            journal.add(record)
        records = [journal.records[name] for name in dataset.entries if name in journal.records]
    figures = summary(records, evaluator.metrics, evaluator.rows)
    found = cases(records, evaluator.metrics)
    atomic_write_bytes(folder / SUMMARY, summary_csv(figures).encode())
    atomic_write_bytes(folder / CASES, cases_csv(found).encode())
    failures = [OnnxplainError(record["error"]) for record in records if "error" in record]
    return Evaluation(folder, figures, found, len(records) - len(failures), resumed, failures)


def measured_here(evaluator: Evaluator, images: Mapping[str, Entry], workers: int) -> Records:
    """The records of images one after another, while threads read those that follow."""
    remaining = iter(images.items())
    ahead: deque[tuple[str, Future[Decoded]]] = deque()
    with ThreadPoolExecutor(workers) as threads:
        while True:
            while len(ahead) <= workers and (following := next(remaining, None)) is not None:
                ahead.append((following[0], threads.submit(decode, following[1])))
            if not ahead:
                return
            name, reading = ahead.popleft()
            try:
                decoded = reading.result()
            except OnnxplainError as error:
                yield failed(name, error)
            else:
                yield evaluator.measure(name, decoded)
