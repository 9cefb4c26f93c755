"""Explains images by several methods, reading each image once and holding one batch of them at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ....graph_rewrites.errors import OnnxplainError
from ...explainer import Explainer
from ...explanation import Explanation
from ...images.files import Image, read_image
from ...runtime.runner import BATCH
from ...targets import Target
from .encode import map_of, photo, picture_url, prediction, predictions, share_name


class Entry:
    """One image on its way into the report: what the page reads of it, as plain JSON types."""

    def __init__(self, name: str, path: Path, image: Image) -> None:
        self.name, self.path, self.image = name, path, image
        shown = photo(image)
        self.data: dict[str, Any] = {
            "name": name,
            "size": list(image.shape[:2]),
            "photo": picture_url(shown),
            "photoSize": list(shown.shape[:2]),
            "predictions": [],
            "maps": [],
        }
        self.failed: dict[str, list[str]] = {}  # methods by what stood in their way

    @property
    def problems(self) -> list[str]:
        """Which methods gave no map, and why."""
        return [f"{', '.join(methods)}: {reason}" for reason, methods in self.failed.items()]

    def add(self, explanation: Explanation, explainer: Explainer) -> None:
        """Takes in a map, and from the first one what the model predicts."""
        window = explainer.preprocess.window(self.image.shape[:2])
        classes, labels = self.data["predictions"], explainer.labels
        if not self.data["maps"]:
            self.data["window"], self.data["input"] = list(window), list(explanation.input_heatmap.shape)
            self.data["shareName"] = share_name(explanation, explainer.record)
            classes += predictions(explanation, labels, explainer.record)
        if all(known["target"] != explanation.target for known in classes):
            classes.append(prediction(explanation.target, explanation.score, explanation.probability, labels))
        self.data["maps"].append(map_of(explanation, window))


def entries(
    paths: Iterable[Path],
    explainers: Mapping[str, Explainer],
    target: Target | Sequence[Target] | None,
    inputs: Mapping[str, np.ndarray] | None,
    fail: Callable[[OnnxplainError], None],
    names: Mapping[Path, str],
) -> Iterator[Entry]:
    """The images with their maps; `fail` is told of each that cannot be read, or not be explained by some method.

    Raises:
        UsageError: a target or further inputs that do not fit the model.
    """
    remaining = iter(paths)
    while batch := list(islice(remaining, BATCH)):
        read: list[Entry] = []
        for path in batch:
            try:
                read.append(Entry(names[path], path, read_image(path)))
            except OnnxplainError as error:
                fail(error)
        for method, explainer in explainers.items():
            _explain(read, method, explainer, target, inputs)
        for entry in read:
            if entry.failed:
                fail(OnnxplainError(f"{entry.path}: {'; '.join(entry.problems)}"))
            if entry.data["maps"]:
                yield entry


def _explain(
    batch: list[Entry],
    method: str,
    explainer: Explainer,
    target: Target | Sequence[Target] | None,
    inputs: Mapping[str, np.ndarray] | None,
) -> None:
    """Adds the maps of one method."""
    for place, result in explainer.attempts([entry.image for entry in batch], target, inputs):
        if isinstance(result, OnnxplainError):
            batch[place].failed.setdefault(str(result), []).append(method)
        else:
            batch[place].add(result, explainer)


def display_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Each file's path within the folder that holds them all, so that no two are the same."""
    absolute = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - a link keeps its own name
    try:
        root = os.path.commonpath([path.parent for path in absolute])
    except ValueError:  # on several drives
        return {path: str(path) for path in paths}
    names = [os.path.relpath(path, root).replace(os.sep, "/") for path in absolute]
    # What a file system calls a file need not be text.
    return {path: name.encode("utf-8", "replace").decode() for path, name in zip(paths, names, strict=True)}
