"""How the model's answer changes where what a map marks is taken away, or shown alone.

Maps are float [h, w] at the size of the model's input; an input is [C, h, w] or [h, w, C], told by its channel axis; a
`Predict` gives the probability of one class for many inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from .pointing import Map
from .removal import imputed

Input = npt.NDArray[np.floating]
Predict = Callable[[Iterable[Input], int], npt.NDArray[np.float64]]  # (inputs, how many) -> probabilities

STEPS = 32  # of a curve; Petsiuk et al. 2018 take 224, one a row of pixels
# Kernel and standard deviation in pixels of what insertion begins with, those of the authors' code for 224 pixels.
BLUR_SIZE, BLUR = 11, 5.0
# Shares of the pixels that ROAD removes: evenly from a tenth to nine tenths.
REMOVED = (0.1, 0.3, 0.5, 0.7, 0.9)


def ranking(heatmap: Map) -> npt.NDArray[np.int64]:
    """The pixels [h * w], by their place in the flattened map, the hottest first; of equal ones the first."""
    return np.argsort(-heatmap.ravel(), kind="stable")


def curve(
    start: Input, end: Input, heatmap: Map, channel_axis: int, predict: Predict, steps: int = STEPS
) -> npt.NDArray[np.float64]:
    """The probability as pixels of one input are replaced by those of another, the hottest first: [steps + 1]."""
    order = ranking(heatmap)
    counts = [round(len(order) * step / steps) for step in range(steps + 1)]

    def inputs() -> Iterator[Input]:
        for count in counts:
            yield np.where(_chosen(order[:count], heatmap.shape, channel_axis), end, start)

    return predict(inputs(), len(counts))


def area(values: npt.NDArray[np.float64]) -> float:
    """The area under a curve over [0, 1] of evenly spaced values, by trapezoids."""
    return float((values[1:] + values[:-1]).sum() / 2 / (len(values) - 1))


def deletion(image: Input, heatmap: Map, channel_axis: int, predict: Predict, steps: int = STEPS) -> float:
    """The area under the probability as pixels are set to 0, the hottest first; low is good.

    0 is the input's own zero: behind a preprocessing that subtracts the mean, the mean colour.

    Source: Petsiuk et al. 2018, "RISE".
    """
    return area(curve(image, np.zeros_like(image), heatmap, channel_axis, predict, steps))


def insertion(image: Input, heatmap: Map, channel_axis: int, predict: Predict, steps: int = STEPS) -> float:
    """The area under the probability as pixels appear in a blurred copy, the hottest first; high is good.

    Source: Petsiuk et al. 2018, "RISE".
    """
    return area(curve(blurred(image, channel_axis), image, heatmap, channel_axis, predict, steps))


def blurred(image: Input, channel_axis: int) -> Input:
    """The input blurred as insertion begins."""
    planes = [
        cv2.GaussianBlur(plane.astype(np.float64), (BLUR_SIZE, BLUR_SIZE), BLUR)
        for plane in np.moveaxis(image, channel_axis, 0)
    ]
    return np.moveaxis(np.stack(planes), 0, channel_axis).astype(image.dtype)


def road(
    image: Input, heatmap: Map, channel_axis: int, predict: Predict, seed: int = 0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The probability as shares of the pixels are removed and filled in from their surroundings, see `imputed`.

    Returns:
        The probabilities for each of `REMOVED` with the hottest pixels removed first, and with the coldest first.

    Source: Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods". They count right
    predictions; the probability tells single images apart.
    """
    hottest = ranking(heatmap)

    def inputs(order: npt.NDArray[np.int64]) -> Iterator[Input]:
        for share in REMOVED:
            removed = np.zeros(heatmap.size, np.bool_)
            removed[order[: round(share * heatmap.size)]] = True
            yield imputed(image, removed.reshape(heatmap.shape), channel_axis, seed)

    return predict(inputs(hottest), len(REMOVED)), predict(inputs(hottest[::-1]), len(REMOVED))


def masked(image: Input, black: Input, heatmap: Map, channel_axis: int) -> Input:
    """The input of the image that is the pixels times the map: what the map marks on black.

    `black` is the input of a black image: preprocessing is linear. Negative values of the map count as 0.

    Source: Chattopadhay et al. 2018, "Grad-CAM++", section 5.1.
    """
    heat = np.expand_dims(np.maximum(heatmap, 0), channel_axis)
    return np.asarray(black + heat * (image - black), image.dtype)


def average_drop(pairs: npt.NDArray[np.float64]) -> float:
    """The mean of max(0, Y - O) / Y, Y the probability of the image and O that of what the map marks; low is good.

    `pairs` is [images, 2] of Y and O. Source: Chattopadhay et al. 2018, section 5.1.
    """
    before, after = pairs.T
    return float((np.maximum(before - after, 0) / np.where(before > 0, before, 1)).mean())


def increase(pairs: npt.NDArray[np.float64]) -> float:
    """The share of images where Y < O, see `average_drop`; high is good.

    Source: Chattopadhay et al. 2018, section 5.1.
    """
    return float((pairs[:, 0] < pairs[:, 1]).mean())


def _chosen(pixels: npt.NDArray[np.int64], shape: tuple[int, ...], channel_axis: int) -> npt.NDArray[np.bool_]:
    chosen = np.zeros(shape[0] * shape[1], np.bool_)
    chosen[pixels] = True
    return np.expand_dims(chosen.reshape(shape), channel_axis)
