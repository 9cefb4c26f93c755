"""Which classes are explained: indices, labels, or places in the ranking."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from ..graph_rewrites.errors import UsageError, closest

Target: TypeAlias = int | str


def resolve_targets(
    target: Target | Sequence[Target] | None, labels: Sequence[str] | None, classes: int | None
) -> list[int]:
    """Targets as the explained model takes them: class indices, or -1 for the top class, -2 for the second ...

    Args:
        target: one or several of: an index, a label, "top1", "top5" (the five top classes); None is the top class.
        labels: class names in class order.
        classes: how many classes the model has, if known.

    Raises:
        UsageError: an index out of range, or a label that is unknown or fits several classes.
    """
    if target is None:
        return [-1]
    if not isinstance(target, str | int | np.integer):
        return [index for one in target for index in resolve_targets(one, labels, classes)]
    if isinstance(target, str):
        if top := re.fullmatch(r"top-?(\d+)", target.strip().lower()):
            count = _in_range(int(top[1]), classes, target)
            if count == 0:
                raise UsageError(f"target {target!r} asks for no class; use top1, top5 ...")
            return [-place for place in range(1, count + 1)]
        if not re.fullmatch(r"-?\d+", target.strip()):
            return [_by_label(target, labels)]
    index = int(target)
    if classes is not None and not -classes <= index < classes:
        raise UsageError(f"target {index} is out of range; the model has {classes} classes, 0 to {classes - 1}")
    return [index]


def _in_range(count: int, classes: int | None, target: str) -> int:
    if classes is not None and count > classes:
        raise UsageError(f"target {target!r} asks for more classes than the model's {classes}")
    return count


def _by_label(text: str, labels: Sequence[str] | None) -> int:
    """The class whose label, or one of whose comma-separated names, is `text`; else the only label that contains it."""
    if not labels:
        raise UsageError(f"target {text!r} is a label, but the model has none; give --labels, or a class index")
    wanted = text.strip().lower()
    names = [[label.lower(), *(part.strip().lower() for part in label.split(","))] for label in labels]
    exact = [index for index, known in enumerate(names) if wanted in known]
    found = exact or [index for index, known in enumerate(names) if wanted in known[0]]
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(f"{index} {labels[index]!r}" for index in found[:5])
        raise UsageError(
            f"label {text!r} fits {len(found)} classes ({some}{' ...' if len(found) > 5 else ''}); give the index"
        )
    raise UsageError(f"no class is labelled {text!r}; {closest(text, labels)}")
