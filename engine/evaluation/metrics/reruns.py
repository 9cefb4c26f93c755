"""Metrics that run the model again: on what a map marks, or with other weights."""

from __future__ import annotations

import math

import numpy as np

from ..measures.perturbation import average_drop, deletion, increase, insertion, masked, road
from ..measures.rank_correlation import rank_correlation
from ..subject import STAGES, Subject
from .registry import Measured, mean, mean_of, metric


@metric("deletion", {"deletion": -1}, mean("deletion"), grade=lambda value: 1 - value, at_input=True)
def deletion_area(subject: Subject, method: str) -> Measured:
    """The area under the deletion curve; see `deletion`."""
    axis, steps = subject.context.maps.channel_axis, subject.context.settings.steps
    return [
        (label, deletion(subject.tensor, one.input_heatmap, axis, subject.predict(one.target), steps))
        for label, one in subject.by_class(method)
    ]


@metric("insertion", {"insertion": 1}, mean("insertion"), grade=float, at_input=True)
def insertion_area(subject: Subject, method: str) -> Measured:
    """The area under the insertion curve; see `insertion`."""
    axis, steps = subject.context.maps.channel_axis, subject.context.settings.steps
    return [
        (label, insertion(subject.tensor, one.input_heatmap, axis, subject.predict(one.target), steps))
        for label, one in subject.by_class(method)
    ]


def _road(measured: Measured) -> dict[str, float]:
    hottest, coldest = (mean_of([value[at] for _, value in measured]) for at in (0, 1))
    return {"ROAD hottest": hottest, "ROAD coldest": coldest}


@metric(
    "road",
    {"ROAD hottest": -1, "ROAD coldest": 1},
    _road,
    grade=lambda value: (1 + value[1] - value[0]) / 2,
    at_input=True,
)
def road_means(subject: Subject, method: str) -> Measured:
    """The mean probability with shares of the hottest, and of the coldest, pixels removed; see `road`."""
    axis = subject.context.maps.channel_axis
    return [
        (
            label,
            [
                float(one.mean())
                for one in road(subject.tensor, found.input_heatmap, axis, subject.predict(found.target))
            ],
        )
        for label, found in subject.by_class(method)
    ]


def _drop(measured: Measured) -> dict[str, float]:
    pairs = np.array([value for _, value in measured]).reshape(-1, 2)
    if not len(pairs):
        return {"average drop": math.nan, "increase": math.nan}
    return {"average drop": average_drop(pairs), "increase": increase(pairs)}


@metric(
    "drop",
    {"average drop": -1, "increase": 1},
    _drop,
    grade=lambda value: 1 - average_drop(np.array([value])),
    at_input=True,
)
def confidence_drop(subject: Subject, method: str) -> Measured:
    """The probability of the image, and of what the map leaves of it; see `masked`."""
    measured: Measured = []
    for label, one in subject.by_class(method):
        left = masked(subject.tensor, subject.black, one.input_heatmap, subject.context.maps.channel_axis)
        measured.append((label, subject.predict(one.target)([subject.tensor, left], 2).tolist()))
    return measured


@metric(
    "occlusion",
    {"agrees with occlusion": 1},
    mean("agrees with occlusion"),
    grade=lambda value: (1 + value) / 2,
    at_input=True,
)
def occlusion_agreement(subject: Subject, method: str) -> Measured:
    """The rank correlation with the occlusion map; None of a flat map."""
    return [
        (label, _known(rank_correlation(one.input_heatmap, subject.occluded[one.target].input_heatmap)))
        for label, one in subject.by_class(method)
    ]


def _randomisation(measured: Measured) -> dict[str, float]:
    return {name: mean_of([value[at] for _, value in measured]) for at, name in enumerate(RANDOMISATION)}


RANDOMISATION = {f"weights anew, {share:.0%}": -1 for share in STAGES}


@metric(
    "randomisation",
    RANDOMISATION,
    _randomisation,
    grade=lambda value: 1 - (value[-1] or 0),
    at_input=True,
)
def randomisation(subject: Subject, method: str) -> Measured:
    """The magnitude of the rank correlation with maps of models whose weights are drawn anew; None of a flat map.

    Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps", section 3: a map that stays is not of the model.
    """
    measured: Measured = []
    for label, one in subject.by_class(method):
        others = [stage[method][one.target].input_heatmap for stage in subject.anew]
        measured.append((label, [_known(abs(rank_correlation(one.input_heatmap, other))) for other in others]))
    return measured


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
