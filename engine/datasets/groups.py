"""The group that each image of a data set belongs to, from a column of a CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...graph_rewrites.errors import UsageError, closest
from .dataset import Dataset, read_text

GROUP, IMAGE, LABEL = "group", "image", "label"


@dataclass(frozen=True)
class Groups:
    """Which images belong together.

    Attributes:
        of: the group of each image that has one, by the image's name in the data set.
        labels: those that the file gives each image, in the place of the data set's own.
        conflicts: images that lines of the file put into different groups, and two of them.
    """

    of: Mapping[str, str]
    labels: Mapping[str, Sequence[str]]
    conflicts: Mapping[str, tuple[str, str]]


def read_groups(path: Path, dataset: Dataset, column: str = GROUP) -> Groups:
    """Reads a CSV with the columns image and `column`, and label where the data set does not tell the image's class.

    An image may have several lines, of which one gives its group. No labels are read where the file is the data set
    itself.

    Raises:
        OnnxplainError: the file cannot be read.
        UsageError: it lacks a column, names none of the images, or has fewer than two groups.
    """
    reader = csv.DictReader(read_text(path).splitlines())
    columns = list(reader.fieldnames or ())
    if IMAGE not in columns:
        raise UsageError(f"{path}: has no column {IMAGE!r}; a CSV of groups has {IMAGE} and {column}")
    if column not in columns:
        hint = closest(column, columns)
        raise UsageError(
            f"{path}: has no column {column!r}, {hint}; name it by --group, or give a CSV that has it by --groups"
        )
    of: dict[str, str] = {}
    labels: dict[str, list[str]] = {}
    conflicts: dict[str, tuple[str, str]] = {}
    for row in reader:
        name, group, label = ((row.get(key) or "").strip() for key in (IMAGE, column, LABEL))
        if group and of.setdefault(name, group) != group:
            conflicts.setdefault(name, (of[name], group))
        if label and path != dataset.path:
            labels.setdefault(name, []).append(label)
    if not of:
        raise UsageError(f"{path}: its column {column!r} is empty; write each image's group there")
    if not of.keys() & dataset.entries.keys():
        theirs, own = next(iter(dataset.entries)), next(iter(of))
        raise UsageError(f"{path}: names no image as {dataset.path} does; write {theirs!r} and its like, not {own!r}")
    if len(found := {of[name] for name in dataset.entries if name in of}) < 2:
        raise UsageError(f"{path}: all images are of the group {found.pop()!r}; an audit compares two or more")
    return Groups(of, labels, conflicts)
