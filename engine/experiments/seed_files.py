"""The seeds of many images as files, resumed where a run was cut off."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ..datasets.dataset import Dataset, Entry
from ..datasets.voc import CLASSES, VOID, encode_indices
from ..evaluation.evaluator import decode, failed
from ..images.files import atomic_file, atomic_write_bytes
from ..records.journal import Journal
from .seeds import UNLABELLED, Class, Seeder, Seeds

RESULTS, VALUES = "seeds.jsonl", "classes.csv"

Progress = Callable[[Iterable[Any], int], Iterable[Any]]


class Numbering:
    """The value of each class in the files, from 1; 0 is the background.

    Args:
        known: classes in the order of their values, where a PNG of 8 bits holds so many; else, and for others, a class
            gets the next value when it first occurs.
    """

    def __init__(self, known: Iterable[Class]) -> None:
        classes = list(known)
        self.values: dict[Class, int] = (
            {one: value for value, one in enumerate(classes, 1)} if len(classes) < VOID else {}
        )

    def of(self, one: Class) -> int:
        """The value of a class.

        Raises:
            UsageError: there are too many classes for a PNG.
        """
        value = self.values.setdefault(one, len(self.values) + 1)
        if value >= VOID:
            raise UsageError(f"seeds of more than {VOID - 1} classes do not fit a PNG of 8 bits; name those you need")
        return value


def classes_of(dataset: Dataset) -> Sequence[str]:
    """The classes of a data set in the order of their values; none where it does not tell them beforehand."""
    return CLASSES if dataset.kind == "Pascal VOC" else dataset.classes or ()


@dataclass(frozen=True)
class Written:
    """What a run wrote.

    Attributes:
        folder: where.
        images: for each image its files, and how many cells each class has, in plain JSON types.
        resumed: how many of them an earlier run had written.
        failures: the images without seeds.
    """

    folder: Path
    images: list[dict[str, Any]]
    resumed: int
    failures: list[OnnxplainError]


def write_seeds(
    seeder: Seeder,
    images: Mapping[str, Entry],
    folder: Path,
    numbering: Numbering,
    identity: Mapping[str, Any],
    progress: Progress = lambda steps, total: steps,
) -> Written:
    """Writes the seeds of all images that are not in the folder yet.

    Args:
        seeder: finds them.
        images: the images by name.
        folder: where, which must be there.
        numbering: the values of classes.
        identity: what seeds must have in common to be gone on with, in plain JSON types.
        progress: `(steps, total) -> steps`, which passes the images on and may show how far they are.

    Raises:
        UsageError: the folder holds results of another run, or there are too many classes.
        OnnxplainError: a file cannot be written.
    """
    labels = seeder.maps.labels
    with Journal(folder / RESULTS, identity) as journal:
        resumed = len(journal.done & images.keys())
        before = [record for record in journal.records.values() if "stem" in record]
        stems = {record["stem"].lower() for record in before}
        for one in (one for record in before for one in record["cells"] if one["class"] is not None):
            numbering.values.setdefault(one["class"], one["value"])
        todo = {name: entry for name, entry in images.items() if name not in journal.done}
        for name, entry in progress(todo.items(), len(todo)):
            try:
                truth, image = decode(entry)
                found = seeder(image, truth)
            except UsageError:
                raise
            except OnnxplainError as error:
                journal.add(failed(name, error))
                continue
            stem = _free(truth.path.stem, stems)
            values = [numbering.of(one) for one in found.classes]
            _write(folder / stem, found, values, image.shape[:2])
            journal.add({"image": name, "stem": stem, "cells": _counts(found, values, labels)})
        records = [journal.records[name] for name in images]
    atomic_write_bytes(folder / VALUES, _values_csv(numbering, labels).encode())
    failures = [OnnxplainError(record["error"]) for record in records if "error" in record]
    return Written(folder, [record for record in records if "error" not in record], resumed, failures)


def identity_of(seeder: Seeder, **more: Any) -> dict[str, Any]:
    """What tells a run from others, in plain JSON types."""
    maps = seeder.maps
    return {
        "method": maps.methods,
        "layer": maps.record["layers"],
        "score": maps.record["score"],
        "preprocessing": maps.preprocess.to_json(),
        "labels": hashlib.sha256(json.dumps(maps.labels).encode()).hexdigest(),
        "rules": vars(seeder.rules),
        **more,
    }


def _free(stem: str, taken: set[str]) -> str:
    """A name for files that no other image has, also where a file system does not tell upper case from lower."""
    number, unique = 1, stem
    while unique.lower() in taken:
        number += 1
        unique = f"{stem}_{number}"
    taken.add(unique.lower())
    return unique


def _write(path: Path, found: Seeds, values: Sequence[int], shape: tuple[int, ...]) -> None:
    """The PNG at the image's size, and the cues in the form of Kolesnikov and Lampert's localization_cues.pickle."""
    numbers = np.array([UNLABELLED, 0, *values])[found.cells + 1]
    rows, columns = np.nonzero(numbers != UNLABELLED)
    with atomic_file(path.with_name(f"{path.name}.npz")) as file:
        np.savez_compressed(
            file, labels=np.array(values, np.int64), cues=np.stack([numbers[rows, columns], rows, columns])
        )
    indices = np.where(numbers == UNLABELLED, VOID, numbers).astype(np.uint8)
    upsampled = cv2.resize(indices, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    atomic_write_bytes(path.with_name(f"{path.name}.png"), encode_indices(np.asarray(upsampled, np.uint8)))


def _counts(found: Seeds, values: Sequence[int], labels: Sequence[str] | None) -> list[dict[str, Any]]:
    named = [
        (None, 0, "background"),
        *((one, value, _label(one, labels)) for one, value in zip(found.classes, values, strict=True)),
    ]
    return [
        {"class": one, "value": value, "label": label, "cells": int((found.cells == place).sum())}
        for place, (one, value, label) in enumerate(named)
    ]


def _label(one: Class, labels: Sequence[str] | None) -> str:
    return one if isinstance(one, str) else labels[one] if labels else str(one)


def _values_csv(numbering: Numbering, labels: Sequence[str] | None) -> str:
    text = io.StringIO()
    rows = [(0, "background"), *((value, _label(one, labels)) for one, value in numbering.values.items()), (VOID, "")]
    csv.writer(text, lineterminator="\n").writerows([("value", "class"), *rows])
    return text.getvalue()
