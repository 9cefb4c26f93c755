"""Arrays of one to three spatial axes upsampled linearly, as the explained models do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt


def upsampled(values: npt.NDArray[np.float64], size: Sequence[int]) -> npt.NDArray[np.float64]:
    """Values [..., *spatial] at the last axes' new sizes, linearly with half-pixel centres, as ONNX's Resize.

    From the last axis on: gathering along it is slow, and it is short of rows yet. A matrix product would be faster,
    but leaves BLAS threads waiting in a loop on the cores that the next run of the model needs.
    """
    for axis, new in reversed(list(enumerate(size, values.ndim - len(size)))):
        old = values.shape[axis]
        places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = np.minimum(places.astype(np.int64), max(old - 2, 0))
        share = (places - low).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
        upper = np.take(values, np.minimum(low + 1, old - 1), axis)
        upper *= share
        values = np.take(values, low, axis)
        values *= 1 - share
        values += upper
    return values


def placed(
    values: npt.NDArray[np.float64], size: Sequence[int], placement: Mapping[str, Sequence[float]]
) -> npt.NDArray[np.float64]:
    """Values [..., *spatial] at their places in [..., *size], linearly between cells.

    Beyond the outermost they are as there, or 0 half a cell further where the layer does not reach the border.

    Args:
        values: maps.
        size: the input's spatial sizes.
        placement: `axes`, `scales`, `offsets` and `reaches` along the input's axes, as an explained model records them.
    """
    first = values.ndim - len(size)
    values = np.transpose(values, [*range(first), *(first + int(axis) for axis in placement["axes"])])
    for index, new in enumerate(size):
        old = values.shape[first + index]
        at = (np.arange(new) - placement["offsets"][index]) / placement["scales"][index]
        weights = np.maximum(0, 1 - np.abs(np.clip(at, 0, old - 1) - np.arange(old)[:, None]))
        if not placement["reaches"][index]:
            weights *= np.abs(at - (old - 1) / 2) <= old / 2
        values = np.moveaxis(np.moveaxis(values, first + index, -1) @ weights, -1, first + index)
    return values


def normalised(values: npt.NDArray[np.float64], spatial: int) -> npt.NDArray[np.float64]:
    """Values over the largest magnitude along their last `spatial` axes; zero where that is zero."""
    peak = np.abs(values).max(axis=tuple(range(-spatial, 0)), keepdims=True)
    return values / np.where(peak == 0, 1, peak)
