"""One pass over grouped images: what each model says of them, and where its heat lies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ..datasets.annotation import AnnotatedImage, AnnotatedObject
from ..datasets.dataset import Dataset
from ..datasets.groups import Groups
from ..datasets.mapping import ClassMapping
from ..evaluation.measures.pointing import energy_inside
from ..explainer import Explainer
from ..images.files import Image, read_image
from ..render.contact_sheet import TILE
from ..results import probabilities
from .findings import Audit, Cell, Record, Seen

MOST_CELLS = 48  # classes and groups of which an example and the mean map are kept in memory


@dataclass(frozen=True)
class Subject:
    """A model under audit: its explainer, and which of its classes stand for those of the data set."""

    explainer: Explainer
    mapping: ClassMapping


def audit_images(
    subjects: Mapping[str, Subject],
    dataset: Dataset,
    groups: Groups,
    *,
    of_true: bool = False,
    inputs: Mapping[str, Any] | None = None,
    on_error: Callable[[OnnxplainError], None] | None = None,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda steps, total: steps,
) -> Audit:
    """Predicts and explains each image once by each model.

    Args:
        subjects: the models by name.
        dataset: the images. The one label of an image that is a class of the model is its class, or that which
            `groups` tells; the others name regions.
        groups: the group of each image.
        of_true: whether the map is that of the true class; default: of the predicted one.
        inputs: the models' further inputs.
        on_error: called for each image that cannot be audited, which is then left out; default: it is raised.
        progress: `(steps, total) -> steps`, which passes the images on and may show how far they are.

    Raises:
        UsageError: no label of the data set is a class of the models.
        OnnxplainError: no image could be audited.
    """
    known = {*(dataset.classes or ()), *(label for labels in groups.labels.values() for label in labels)}
    for subject in subjects.values():
        if dataset.classes is not None and not any(map(subject.mapping.has, known)):
            some = ", ".join(map(repr, sorted(known)[:5]))
            raise UsageError(
                f"{dataset.path}: none of its labels ({some}) is a class of the model; map them by --mapping, or name"
                " the classes by --labels"
            )
    found = Audit(list(subjects), meanings={name: {} for name in subjects})
    for name, entry in progress(dataset.entries.items(), len(dataset)):
        try:
            truth = entry()
            group, label, objects = _facts(name, truth, groups, subjects.values())
            _add(found, subjects, Record(name, label, group, {}, {}), truth, objects, of_true, inputs)
        except OnnxplainError as error:
            text = str(error)
            named = OnnxplainError(text if name in text else f"{name}: {text}")
            if on_error is None:
                raise named from error
            on_error(named)
    if not found.records:
        raise OnnxplainError(f"{dataset.path}: no image could be audited; see the errors above")
    return found


def require_classifier(explainer: Explainer, model: str) -> None:
    """Refuses a model that does not choose one of several classes.

    Raises:
        UsageError: it has one class, explains another score than its classes', or several layers at once.
    """
    if "expression" in explainer.record["score"] or explainer.classes == 1:
        raise UsageError(f"{model}: an audit is of a classifier of several classes; name its output by --score")
    if len(explainer.record["layers"]) > 1:
        raise UsageError(f"{model}: an audit is of one layer; name one by --layer")


def _facts(
    name: str, truth: AnnotatedImage, groups: Groups, subjects: Iterable[Subject]
) -> tuple[str, str, list[AnnotatedObject]]:
    """The group, the class, and the objects with a place.

    Raises:
        OnnxplainError: one of the first two is not known, or there are several.
    """
    if name in groups.conflicts:
        raise OnnxplainError("has both {!r} and {!r}; correct the lines of the image".format(*groups.conflicts[name]))
    if name not in groups.of:
        raise OnnxplainError("has no group; add it to the CSV")
    mappings = [subject.mapping for subject in subjects]
    labels = dict.fromkeys(groups.labels.get(name, truth.labels))
    classes = [label for label in labels if all(mapping.has(label) for mapping in mappings)]
    if len(classes) != 1:
        what, remedy = ("several classes", "leave all but one out") if classes else ("no class of the model", "map one")
        raise OnnxplainError(f"has {what} among its labels ({', '.join(labels)}); {remedy} by --mapping")
    return groups.of[name], classes[0], [one for one in truth.objects if one.has_place]


def _add(
    found: Audit,
    subjects: Mapping[str, Subject],
    facts: Record,
    truth: AnnotatedImage,
    objects: Sequence[AnnotatedObject],
    of_true: bool,
    inputs: Mapping[str, Any] | None,
) -> None:
    """Adds an image to what was found, or nothing of it where it fails.

    Raises:
        OnnxplainError: the image cannot be read, a region lies outside it, or a map is not finite.
    """
    image = read_image(truth.path)
    shape = image.shape[0], image.shape[1]
    regions = {label: truth.region(label, shape) for label in dict.fromkeys(one.label for one in objects)}
    explanations, seen, targets = {}, {}, {}
    for name, subject in subjects.items():
        targets[name] = subject.mapping.of(facts.label)
        results = subject.explainer(image, targets[name] if of_true else None, inputs)
        one = explanations[name] = max(results, key=lambda each: each.score)
        if one.logits is None:
            raise UsageError(f"{name}: the explained model gives no class scores; give the original model")
        predicted = int(one.logits.argmax())
        probability = float(probabilities(one.logits, subject.explainer.record)[predicted])
        has_heat = bool((one.heatmap > 0).any())
        heat = {label: energy_inside(one.heatmap, region) for label, region in regions.items()} if has_heat else None
        called = subject.explainer.labels[predicted] if subject.explainer.labels else str(predicted)
        seen[name] = Seen(predicted, called, predicted in targets[name], probability, heat)
    area = {label: float(region.mean()) for label, region in regions.items()}
    record = Record(facts.image, facts.label, facts.group, area, seen)
    found.records.append(record)
    for name, indices in targets.items():
        found.meanings[name] |= dict.fromkeys(indices, facts.label)
    kind = facts.label, facts.group
    if kind not in found.cells and len(found.cells) < MOST_CELLS:
        maps = {name: _tile(one.picture()) for name, one in explanations.items()}
        found.cells[kind] = Cell(_tile(image), maps, record)
    if kind in found.cells:
        found.cells[kind].add(explanations)


def _tile(picture: Image) -> Image:
    """The picture with its longer side at that of a tile; small ones stay as they are."""
    scale = min(1.0, TILE / max(picture.shape[:2]))
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
