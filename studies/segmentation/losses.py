"""The three losses of SEC (Kolesnikov and Lampert 2016, "Seed, Expand and Constrain", section 3.1) and their gradients.

Probabilities are float [N, C, h, w], class 0 the background; each loss gives its value and its derivative by them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


# The decays of Kolesnikov and Lampert (0.996 and 0.999, of 1681 cells) give half of the weight to the first 10 % of the
# cells for a class, and to the first 30 % for the background. Objects cover less of a scene than of a photo, 1.3 to
# 4.5 %, so that for a class half of the weight is given here to half of the smallest object; of 1024 cells.
DECAY = 0.5 ** (1 / (0.0065 * 1024))
BACKGROUND_DECAY = 0.5 ** (1 / (0.3 * 1024))


class Loss(NamedTuple):
    """A loss, and its derivative by the probabilities [N, C, h, w]."""

    value: float
    gradient: Array


def seeding(probabilities: Array, cues: Flags) -> Loss:
    """Equation 2: the mean of -log p over the seeds of an image; cells without seed do not matter.

    Args:
        probabilities: [N, C, h, w].
        cues: bool [N, C, h, w], which class each cell is a seed of, if any.
    """
    share = cues / np.maximum(cues.sum((1, 2, 3), keepdims=True), 1) / len(cues)
    return Loss(float(-(share * np.log(probabilities)).sum()), -share / probabilities)


def rank_weights(scores: Array, decay: float) -> Array:
    """Equation 3: what each score [..., h, w] weighs in global weighted rank pooling, decay^rank; the weights add to 1.

    A decay of 0 is the maximum, of 1 the mean.
    """
    flat = scores.reshape(*scores.shape[:-2], -1)
    ranks = np.argsort(np.argsort(-flat, axis=-1, kind="stable"), axis=-1)
    weights = decay**ranks
    return np.asarray((weights / weights.sum(-1, keepdims=True)).reshape(scores.shape))


def expansion(probabilities: Array, shown: Flags, decay: float, background_decay: float) -> Loss:
    """Equation 5: classes shown, and the background, take up room; a class that is not shown has no cell.

    Args:
        probabilities: [N, C, h, w].
        shown: bool [N, C - 1], the classes in each image.
        decay: of the rank pooling of classes shown.
        background_decay: of that of the background.
    """
    gradient = np.zeros_like(probabilities)
    value = 0.0
    count = len(probabilities)
    present = np.concatenate([np.zeros((count, 1), np.bool_), shown], axis=1)
    absent = np.concatenate([np.zeros((count, 1), np.bool_), ~shown], axis=1)
    background = np.zeros_like(present)
    background[:, 0] = True
    for which, pooled_by, sign in ((present, decay, 1), (background, background_decay, 1), (absent, 0.0, -1)):
        weights = rank_weights(probabilities, pooled_by)
        score = (weights * probabilities).sum((2, 3))
        likely = score if sign > 0 else 1 - score
        share = which / np.maximum(which.sum(1, keepdims=True), 1) / count
        value -= float((share * np.log(likely)).sum())
        gradient -= sign * (share / likely)[:, :, None, None] * weights
    return Loss(value, gradient)


def constraint(probabilities: Array, refined: Array) -> Loss:
    """Equation 6: the divergence KL(refined || p), the mean over cells; what the CRF made of p is taken as given.

    Args:
        probabilities: [N, C, h, w].
        refined: [N, C, h, w], the CRF's, above 0.
    """
    cells = probabilities.size / probabilities.shape[1]
    value = float((refined * np.log(refined / probabilities)).sum() / cells)
    return Loss(value, -refined / probabilities / cells)
