"""Ten crops of an image: its corners and centre, and their mirror images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ...graph_rewrites.errors import UsageError
from ..images.files import Image
from ..images.preprocess import Preprocess


class TenCrops:
    """Cuts inputs of the size that `preprocess` makes out of the image as it resizes it.

    Source: Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks", section 4.1: the
    prediction is the mean of the ten softmax outputs. Maps are averaged likewise, each pixel over the crops it is in.

    Raises:
        UsageError: the preprocessing does not resize the image to more than it cuts out.
    """

    centre = 4  # the place of the crop that `preprocess` itself makes

    def __init__(self, preprocess: Preprocess) -> None:
        if preprocess.size is None or preprocess.resize is None or preprocess.resize <= min(preprocess.size):
            raise UsageError(
                "ten crops need an image that is resized to more than the model takes; give --preprocess with fit=crop"
                " and resize=, such as imagenet,resize=256"
            )
        self._preprocess, self._resize = preprocess, preprocess.resize
        self._h, self._w = preprocess.size

    def tensors(self, image: Image) -> npt.NDArray[np.floating]:
        """The inputs [10, ...]: corners from the top left on, centre, and these mirrored."""
        whole = self._whole(image.shape[:2]).apply(image)
        channels_last = self._preprocess.layout == "NHWC"
        planes = np.moveaxis(whole, -1, 0) if channels_last else whole
        cut = [planes[:, top : top + self._h, left : left + self._w] for top, left in self._places(image.shape[:2])]
        both = np.stack([*cut, *(one[..., ::-1] for one in cut)])
        return np.ascontiguousarray(np.moveaxis(both, 1, -1) if channels_last else both)

    def to_source(self, maps: npt.NDArray[np.float64], shape: tuple[int, int]) -> npt.NDArray[np.float64]:
        """The mean of the maps [10, h, w] at the source image's size [H, W]; 0 where no crop is."""
        whole = self._whole(shape)
        rows, columns = whole.size or shape
        total, count = np.zeros((rows, columns)), np.zeros((rows, columns))
        places = self._places(shape)
        for one, (top, left) in zip([*maps[:5], *maps[5:, :, ::-1]], [*places, *places], strict=True):
            window = slice(top, top + self._h), slice(left, left + self._w)
            total[window] += one
            count[window] += 1
        return np.asarray(whole.to_source(total / np.maximum(count, 1), shape), np.float64)

    def _whole(self, shape: tuple[int, int]) -> Preprocess:
        """The preprocessing without the cut."""
        rows, columns = (int(self._resize * side / min(shape)) for side in shape)
        return replace(self._preprocess, size=(rows, columns), fit="squash", resize=None)

    def _places(self, shape: tuple[int, int]) -> list[tuple[int, int]]:
        """The top left corners of the five crops."""
        rows, columns = self._whole(shape).size or shape
        bottom, right = rows - self._h, columns - self._w
        return [(0, 0), (0, right), (bottom, 0), (bottom, right), (round(bottom / 2), round(right / 2))]
