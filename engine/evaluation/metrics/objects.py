"""Metrics that compare maps with where the objects are."""

from __future__ import annotations

import math

import numpy as np

from ..measures.boxes import OVERLAPS, localises, max_box_accuracy, overlaps_by_threshold
from ..measures.pointing import energy_inside, is_difficult, mean_over_classes, pointing
from ..measures.rejection import TOP, Pointed, best_threshold, rejection_accuracy
from ..subject import Subject
from .registry import Measured, mean, mean_of, metric


def _localisation(measured: Measured) -> dict[str, float]:
    """Errors, as ILSVRC reports them: the share of cases that are wrong."""
    right = {name: mean_of([value[name] for _, value in measured]) for name in ("class1", "box1", "class5", "box5")}
    names = {"class1": "top-1 class error", "box1": "top-1 box error", "class5": "top-5 class error"}
    return {(names | {"box5": "top-5 box error"})[name]: 1 - value for name, value in right.items()}


LOCALISATION = {"top-1 class error": 0, "top-1 box error": -1, "top-5 class error": 0, "top-5 box error": -1}


@metric("localisation", LOCALISATION, _localisation, grade=lambda value: float(value["box5"]), needs_truth=True, top=5)
def localisation(subject: Subject, method: str) -> Measured:
    """Whether a class is among the top predictions, and the box of its map finds an object; see `localises`."""
    measured: Measured = []
    for label, targets in subject.classes.items():
        if not (boxes := subject.boxes(label)):
            continue
        top = subject.explained.top
        found = {
            place: localises(subject.map_of(method, one).heatmap, boxes)
            for place, one in enumerate(top)
            if one in targets
        }
        value = {}
        for count in (1, 5):
            value[f"class{count}"] = any(place < count for place in found)
            value[f"box{count}"] = any(is_found for place, is_found in found.items() if place < count)
        measured.append((label, value))
    return measured


def _max_box(measured: Measured) -> dict[str, float]:
    overlaps = np.array([value for _, value in measured])
    if not len(overlaps):
        return dict.fromkeys(MAX_BOX, math.nan)
    accuracy = max_box_accuracy(overlaps)
    return {"MaxBoxAccV2": mean_of(list(accuracy.values()))} | {f"box {at}": accuracy[at] for at in OVERLAPS}


MAX_BOX = {"MaxBoxAccV2": 1, **{f"box {at}": 1 for at in OVERLAPS}}


@metric("max-box", MAX_BOX, _max_box, grade=max, needs_truth=True)
def max_box(subject: Subject, method: str) -> Measured:
    """The best overlaps by threshold of the class's map, whatever the model predicts."""
    return [
        (label, overlaps_by_threshold(one.heatmap, subject.boxes(label)).tolist())
        for label, one, _ in subject.located(method)
    ]


def _pointing(measured: Measured) -> dict[str, float]:
    difficult = [(label, value["hit"]) for label, value in measured if value["difficult"]]
    return {
        "pointing": mean_over_classes([(label, value["hit"]) for label, value in measured]),
        "pointing, difficult": mean_over_classes(difficult),
    }


@metric(
    "pointing",
    {"pointing": 1, "pointing, difficult": 1},
    _pointing,
    grade=lambda value: float(value["hit"]),
    needs_truth=True,
)
def pointing_game(subject: Subject, method: str) -> Measured:
    """The pointing game's hit, and whether the image is a difficult one of the class."""
    labels = {one.label for one in subject.truth.objects}
    return [
        (
            label,
            {
                "hit": pointing(one.heatmap, region, subject.context.settings.tolerance),
                "difficult": is_difficult(region, distractors=len(labels) > 1),
            },
        )
        for label, one, region in subject.located(method)
    ]


def _rejection(measured: Measured) -> dict[str, float]:
    """The threshold is found on every other image, and the accuracy reported on the rest."""
    images = [[Pointed(*one) for one in value] for _, value in measured]
    swept, held_out = ([one for image in images[start::2] for one in image] for start in (0, 1))
    if not held_out:
        return {"pointing, rejecting": math.nan, "threshold": math.nan}
    threshold = best_threshold(swept)
    return {"pointing, rejecting": rejection_accuracy(held_out, threshold), "threshold": threshold}


@metric("rejection", {"pointing, rejecting": 1, "threshold": 0}, _rejection, needs_truth=True, top=TOP)
def rejection(subject: Subject, method: str) -> Measured:
    """Peak, presence and hit of each of the top predictions; see `Pointed`."""
    present = {target: label for label, targets in subject.present.items() for target in targets}
    pointed = []
    for target in subject.explained.top[:TOP]:
        one, label = subject.map_of(method, target), present.get(target)
        is_there = label is not None and bool(subject.truth.of(label))
        hit = (
            pointing(one.heatmap, subject.region(label), subject.context.settings.tolerance)
            if label and is_there
            else 0.0
        )
        pointed.append(Pointed(float(np.max(one.cam if one.cam is not None else one.heatmap)), is_there, hit))
    return [("", [list(one) for one in pointed])]


@metric("energy", {"energy inside": 1}, mean("energy inside"), grade=float, needs_truth=True)
def energy(subject: Subject, method: str) -> Measured:
    """The share of the heat inside the objects; see `energy_inside`."""
    return [(label, energy_inside(one.heatmap, region)) for label, one, region in subject.located(method)]
