"""The figures of an audit: how often each model is right, what it takes images for, and where its heat lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .findings import Audit, Record
from .intervals import CONFIDENCE, Interval, Share, difference, mean_interval


class Heat(NamedTuple):
    """How much of the heat lies inside a region.

    Attributes:
        share: the mean share over images.
        interval: of that mean; None of too few images.
        area: the mean share of the area, which a map that is the same everywhere has inside.
        images: how many have the region, and a map with heat in it.
    """

    share: float
    interval: Interval | None
    area: float
    images: int

    @property
    def times(self) -> float:
        """How many times as much as a map that is the same everywhere has inside; 0 of no images."""
        return self.share / self.area if self.images else 0.0


class Gap(NamedTuple):
    """How much more often images of a class are taken for what they are in one group than in another.

    Attributes:
        label: the class.
        better, worse: the two groups; with more than two in all, one of them against all others together.
        shares: of images that are taken for what they are, in the better and the worse.
        interval: of the difference, at a confidence that holds for all gaps of the model together.
    """

    label: str
    better: str
    worse: str
    shares: tuple[Share, Share]
    interval: Interval

    @property
    def value(self) -> float:
        """The difference."""
        return self.shares[0].value - self.shares[1].value


def chosen(audit: Audit, label: str | None = None, group: str | None = None) -> list[Record]:
    """The records of a class and a group; None: of any."""
    return [
        one
        for kind, records in audit.by_kind.items()
        if label in (None, kind[0]) and group in (None, kind[1])
        for one in records
    ]


def right(records: Sequence[Record], model: str) -> Share:
    """How many a model takes for what they are."""
    return Share(sum(one.seen[model].is_right for one in records), len(records))


def mistakes(audit: Audit, model: str) -> Counter[tuple[str, str, str]]:
    """How many images of each class and group are taken for each other class."""
    wrong = (one for one in audit.records if not one.seen[model].is_right)
    return Counter((one.label, one.group, audit.called(model, one)) for one in wrong)


def heat(records: Sequence[Record], model: str, region: str) -> Heat:
    """Where a model's heat lies in these images; NaN where none of them has the region and heat."""
    pairs = [
        (found[region], one.area[region]) for one in records if (found := one.seen[model].heat) and region in one.area
    ]
    if not pairs:
        return Heat(float("nan"), None, float("nan"), 0)
    shares, areas = zip(*pairs, strict=True)
    interval = mean_interval(shares)
    within = None if interval is None else Interval(max(0.0, interval.low), min(1.0, interval.high))
    return Heat(float(np.mean(shares)), within, float(np.mean(areas)), len(pairs))


def flat(audit: Audit, model: str) -> int:
    """How many maps have no heat at all."""
    return sum(one.seen[model].heat is None for one in audit.records)


def heat_difference(audit: Audit, one: str, other: str, region: str) -> tuple[float, Interval | None]:
    """How much more of one model's heat lies inside a region than of another's, in the same images."""
    differences = [
        a[region] - b[region]
        for record in audit.records
        if (a := record.seen[one].heat) and (b := record.seen[other].heat) and region in record.area
    ]
    return float(np.mean(differences)) if differences else float("nan"), mean_interval(differences)


def gaps(audit: Audit, model: str) -> list[Gap]:
    """The gaps between groups, of every class that has images in both; the widest first.

    Their intervals hold together at the confidence of a single one (Bonferroni's correction).
    """
    pairs = list(_pairs(audit, model))
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(pairs))
    found = []
    for label, names, (one, other) in pairs:
        if one.value < other.value:
            names, (one, other) = names[::-1], (other, one)
        found.append(Gap(label, *names, (one, other), difference(one, other, confidence)))
    return sorted(found, key=lambda gap: -gap.value)


def _pairs(audit: Audit, model: str) -> Iterator[tuple[str, tuple[str, str], tuple[Share, Share]]]:
    groups = audit.groups
    for label in audit.labels:
        within = {group: right(chosen(audit, label, group), model) for group in groups}
        every = right(chosen(audit, label), model)
        for group in groups[:1] if len(groups) == 2 else groups:
            one = within[group]
            rest = Share(every.part - one.part, every.whole - one.whole)
            if one.whole and rest.whole:
                yield label, (group, groups[1] if len(groups) == 2 else "the others"), (one, rest)
