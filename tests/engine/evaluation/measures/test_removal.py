from __future__ import annotations

import numpy as np
import pytest
from onnxplain.engine.evaluation.measures.removal import imputed


def dense(plane: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """The same by a matrix of all pixels and numpy's solver."""
    height, width = plane.shape
    matrix, right = np.eye(plane.size), plane.ravel().copy()
    for y, x in np.argwhere(removed):
        row = y * width + x
        matrix[row], right[row] = 0, 0
        for dy, dx in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
            if 0 <= y + dy < height and 0 <= x + dx < width:
                weight = 1 / 6 if 0 in (dy, dx) else 1 / 12
                matrix[row, row] += weight
                matrix[row, (y + dy) * width + x + dx] -= weight
    return np.linalg.solve(matrix, right).reshape(plane.shape)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_removed_pixels_are_the_weighted_mean_of_their_neighbours(share: float) -> None:
    rng = np.random.default_rng(3)
    image, removed = rng.normal(size=(9, 11, 2)), rng.random((9, 11)) < share
    filled = imputed(image, removed, 2, noise=0)
    for channel in range(2):
        np.testing.assert_allclose(filled[..., channel], dense(image[..., channel], removed), atol=1e-5)
    np.testing.assert_array_equal(filled[~removed], image[~removed])


def test_one_pixel_by_hand() -> None:
    image = np.array([[[1.0, 2.0, 3.0], [4.0, 99.0, 6.0], [7.0, 8.0, 9.0]]])
    removed = np.zeros((3, 3), np.bool_)
    removed[1, 1] = True
    assert imputed(image, removed, 0, noise=0)[0, 1, 1] == pytest.approx((1 + 3 + 7 + 9) / 12 + (2 + 4 + 6 + 8) / 6)


def test_the_noise_is_small_seeded_and_on_removed_pixels_alone() -> None:
    image, removed = np.ones((1, 20, 20)), np.zeros((20, 20), np.bool_)
    removed[5:15, 5:15] = True
    filled = imputed(image, removed, 0, seed=1)
    np.testing.assert_array_equal(filled, imputed(image, removed, 0, seed=1))
    assert (filled != imputed(image, removed, 0, seed=2)).sum() == 100
    assert (filled - 1)[0, removed].std() == pytest.approx(0.01, rel=0.3)


def test_with_nothing_left_there_is_nothing_to_fill_in_from() -> None:
    assert not imputed(np.ones((1, 3, 3)), np.ones((3, 3), np.bool_), 0, noise=0).any()
