"""Removes pixels so that the gap does not show: noisy linear imputation."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

# Weights of the direct and of the diagonal neighbours, and the noise (Rong et al. 2022).
WEIGHTS = np.array([[1 / 12, 1 / 6, 1 / 12], [1 / 6, 0, 1 / 6], [1 / 12, 1 / 6, 1 / 12]])
NOISE = 0.01
PRECISION = 1e-6  # of the solution's residual, beside that of the noise
Plane = npt.NDArray[np.float64]


def imputed(
    image: npt.NDArray[np.floating],
    removed: npt.NDArray[np.bool_],
    channel_axis: int,
    seed: int = 0,
    noise: float = NOISE,
) -> npt.NDArray[np.floating]:
    """The image with each removed pixel the weighted mean of its neighbours, removed ones too, and a little noise.

    Source: Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods".

    Args:
        image: [C, h, w] or [h, w, C].
        removed: the pixels to fill in, bool [h, w]; with all of them removed there is nothing to fill in from, and
            they become 0.
        channel_axis: the axis of the channels.
        seed: of the noise.
        noise: its standard deviation.
    """
    planes = np.moveaxis(image, channel_axis, 0).astype(np.float64)
    draw = np.random.default_rng(seed)
    filled = [
        np.where(removed, _solved(plane, removed) + draw.normal(0, noise, plane.shape), plane) for plane in planes
    ]
    return np.moveaxis(np.stack(filled), 0, channel_axis).astype(image.dtype)


def _solved(plane: Plane, removed: npt.NDArray[np.bool_]) -> Plane:
    """The plane whose removed pixels satisfy sum_j w_j (x - x_j) = 0 over their neighbours, by conjugate gradients.

    At the border the sum has fewer neighbours, so the system is symmetric and positive.
    """
    if removed.all():
        return np.zeros_like(plane)
    total = _neighbours(np.ones_like(plane))

    def system(values: Plane) -> Plane:
        return np.where(removed, total * values - _neighbours(values), 0)

    known = np.where(removed, 0, plane)
    right = np.where(removed, _neighbours(known), 0)
    solution = np.where(removed, plane[~removed].mean(), 0)
    residual = right - system(solution)
    direction, size = residual, (residual**2).sum()
    enough = PRECISION**2 * max((right**2).sum(), np.finfo(np.float64).tiny)
    for _ in range(int(removed.sum())):
        if size <= enough:
            break
        along = system(direction)
        step = size / (direction * along).sum()
        solution, residual = solution + step * direction, residual - step * along
        before, size = size, (residual**2).sum()
        direction = residual + size / before * direction
    return solution


def _neighbours(values: Plane) -> Plane:
    """The weighted sum of each pixel's neighbours within the plane."""
    return np.asarray(cv2.filter2D(values, cv2.CV_64F, WEIGHTS, borderType=cv2.BORDER_CONSTANT))
