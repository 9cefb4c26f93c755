"""From the classes of a data set to those of a model."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ...graph_rewrites.errors import OnnxplainError, UsageError, closest
from ..images.files import PathLike
from .dataset import read_text

Given = Mapping[str, Sequence[str | int]]


class ClassMapping:
    """Which classes of a model stand for each class of a data set.

    Args:
        labels: the model's class names, where they are known.
        classes: how many classes the model has, where it is known.
        given: from data-set classes to those of the model, by name or index; none: the class is left out. Without it
            classes are found by name: exactly the label, or one of its names between commas, whatever their case.
        source: the file that `given` comes from, for messages.

    Raises:
        UsageError: `given` names a class that the model has not.
    """

    def __init__(
        self,
        labels: Sequence[str] | None,
        classes: int | None,
        given: Given | None = None,
        source: PathLike | None = None,
    ) -> None:
        self._labels, self._classes, self._source = labels, classes, source
        self._by_name: dict[str, list[int]] = {}
        for index, label in enumerate(labels or ()):
            for name in {label.strip().lower(), *(part.strip().lower() for part in label.split(","))}:
                self._by_name.setdefault(name, []).append(index)
        self._given = None
        if given is not None:
            self._given = {name: tuple(self._index(one, name) for one in wanted) for name, wanted in given.items()}

    def has(self, label: str) -> bool:
        """Whether a label stands for classes of the model; others may name anything, such as a part of an object."""
        if self._given is not None:
            return bool(self._given.get(label))
        text = label.strip()
        is_index = text.isdigit() and (self._classes is None or int(text) < self._classes)
        return is_index or text.lower() in self._by_name

    def of(self, label: str) -> tuple[int, ...]:
        """The model's classes for a class of the data set; none where the mapping leaves it out.

        Raises:
            UsageError: the mapping lacks the class, or without one the model has no such label.
        """
        if self._given is None:
            return (self._index(label),)
        if label not in self._given:
            raise UsageError(f"{self._source}: lacks the class {label!r}; map it, or to nothing to leave it out")
        return self._given[label]

    def check(self, classes: Iterable[str]) -> None:
        """Refuses a mapping that lacks some of these classes, or maps none.

        Raises:
            UsageError: it does.
        """
        lacking, errors, mapped = [], [], 0
        for label in classes:
            try:
                mapped += bool(self.of(label))
            except UsageError as error:
                lacking.append(label)
                errors.append(error)
        if len(lacking) == 1:
            raise errors[0]
        if lacking:
            some = ", ".join(map(repr, lacking[:5])) + (" ..." if len(lacking) > 5 else "")
            where = "the model's labels lack" if self._given is None else f"{self._source}: lacks"
            raise UsageError(
                f"{where} {len(lacking)} classes of the data set ({some}); map them by mapping= (--mapping)"
            )
        if not mapped:
            raise UsageError(f"{self._source}: maps no class of the data set; map some to classes of the model")

    def _index(self, one: str | int, source: str | None = None) -> int:
        text = str(one).strip()
        where = "" if source is None else f"{self._source}: class {source!r}: "
        if found := self._by_name.get(text.lower()):
            if len(found) > 1:
                raise UsageError(f"{where}{text!r} is the name of the classes {found}; give the index, see --mapping")
            return found[0]
        if text.isdigit() and (self._classes is None or int(text) < self._classes):
            return int(text)
        if text.isdigit():
            raise UsageError(f"{where}{text} is out of range; the model has {self._classes} classes")
        if not self._labels:
            raise UsageError(f"{where}{text!r} is a name, but the model has no labels; give --labels, or an index")
        hint = closest(text, self._by_name)
        raise UsageError(f"{where}the model has no class {text!r}, {hint}; map it by mapping= (--mapping)")


def read_mapping(path: PathLike) -> dict[str, list[str | int]]:
    """A mapping from a file: JSON {"cat": [281, "tiger cat"], "sofa": null}, or a CSV of two columns without header.

    A class on several lines of the CSV has several of the model's; one whose second column is empty is left out.

    Raises:
        OnnxplainError: the file cannot be read, or is neither.
    """
    path = Path(path)
    text = read_text(path)
    found: dict[str, list[str | int]] = {}
    if path.suffix.lower() == ".json":
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise OnnxplainError(f'{path}: not valid JSON ({error}); write {{"cat": [281, 282]}}') from error
        for name, wanted in data.items() if isinstance(data, dict) else [("", data)]:
            several = [] if wanted is None else wanted if isinstance(wanted, list) else [wanted]
            if not isinstance(data, dict) or not all(isinstance(one, str | int) for one in several):
                raise OnnxplainError(f'{path}: not classes by class; write {{"cat": [281, 282], "sofa": null}}')
            found[name] = several
        return found
    for number, row in enumerate(csv.reader(text.splitlines()), 1):
        if len(row) != 2:
            raise OnnxplainError(f"{path}, line {number}: not two columns; write data-set class,model class")
        wanted = found.setdefault(row[0].strip(), [])
        wanted += [row[1].strip()] if row[1].strip() else []
    return found
