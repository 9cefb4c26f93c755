"""A fully connected CRF by mean-field iterations (Kraehenbuehl and Koltun 2011), exact: each cell hears all others.

On the grid of this study that is a product with a matrix of 1024 x 1024, which needs neither that paper's approximation
nor a library; those for images (pydensecrf2) come as C++ sources to be compiled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]

# As in the code of Kolesnikov and Lampert 2016 (CRF.py and pylayers.py), whose grid has 41 cells where ours has 32. The
# second kernel there, of place alone, deviates by a quarter of a cell, so that no other cell is heard.
WEIGHT = 10.0
NEAR = 80 / 12 * 32 / 41  # cells
ALIKE = 13.0  # grey levels
ITERATIONS = 5  # there 10, by which the mean intersection over union here changes by less than one point


def mean_field(
    probabilities: Array,
    image: Array,
    weight: float = WEIGHT,
    near: float = NEAR,
    alike: float = ALIKE,
    iterations: int = ITERATIONS,
) -> npt.NDArray[np.float32]:
    """Algorithm 1 of the paper: probabilities that agree where places are near and colours alike.

    Its equation 3 with one kernel, K_ij = exp(-|place_i - place_j|^2 / 2 near^2 - |colour_i - colour_j|^2 / 2 alike^2),
    and Potts compatibility; K is normalised symmetrically, K_ij / sqrt(sum_k K_ik sum_k K_kj), as in the paper's code.

    Args:
        probabilities: [C, h, w], above 0.
        image: [h, w, 3], 0 to 255.
        weight: of the kernel.
        near: standard deviation of places, in cells.
        alike: standard deviation of colours, in grey levels.
        iterations: how many.

    Returns:
        float32 [C, h, w].
    """
    classes, height, width = probabilities.shape
    places = np.indices((height, width)).reshape(2, -1).T
    kernel = weight * _gaussian(np.hstack([places / near, image.reshape(-1, 3) / alike]))
    unary = np.log(probabilities).reshape(classes, -1).astype(np.float32)
    belief = softmax(unary)
    for _ in range(iterations):
        belief = softmax(unary + belief @ kernel)
    return belief.reshape(probabilities.shape)


def _gaussian(features: Array) -> npt.NDArray[np.float32]:
    """exp(-|f_i - f_j|^2 / 2) of features [cells, n], normalised; float32 [cells, cells]."""
    features = (features - features.mean(axis=0)).astype(np.float32)
    half = (features**2).sum(axis=1) / 2
    kernel = np.exp(np.minimum(features @ features.T - half - half[:, None], 0))
    scale = 1 / np.sqrt(kernel.sum(axis=1))
    return np.asarray(kernel * scale * scale[:, None], np.float32)


def softmax(values: Array, axis: int = 0) -> Array:
    """exp(values) over their sum along the axis."""
    shares: Array = np.exp(values - values.max(axis=axis, keepdims=True))
    return np.asarray(shares / shares.sum(axis=axis, keepdims=True))
