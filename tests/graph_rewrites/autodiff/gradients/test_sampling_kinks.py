"""What the gradients of sampling and pooling over boxes are at borders, ties and rows without keys, and at no boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .harness import Case, gradients, runtime_gradients

ROW = np.array([1.0, 4.0, 9.0]).reshape(1, 1, 1, 3)
# On the first and the last element, between them, on the middle one, and outside; across, and no matter along the rest.
ACROSS = [-1, 1, -0.5, 0, 1.5]
GRID = np.stack([ACROSS, np.zeros(5)], axis=-1).reshape(1, 1, 5, 2)


def both(case: Case, cotangent: np.ndarray) -> list[dict[int, np.ndarray]]:
    """The gradients in float64 and in float32 through ONNX Runtime."""
    return [gradients(case, cotangent), runtime_gradients(case, cotangent)]


# The slopes are per unit of the grid, which is one element here (3 elements from -1 to 1).
@pytest.mark.parametrize(
    ("padding", "slopes"), [("zeros", [3, -9, 3, 5, -9]), ("border", [0, 0, 3, 5, 0]), ("reflection", [0, 0, 3, 5, -5])]
)
def test_a_sample_on_an_element_takes_the_cell_above_it_and_on_a_border_nothing(
    padding: str, slopes: list[int]
) -> None:
    """As torch.nn.functional.grid_sample: measured there with the same numbers."""
    case = Case("GridSample", [ROW, GRID], {"padding_mode": padding, "align_corners": 1}, opset=20, wrt=[1])
    for results in both(case, np.ones((1, 1, 1, 5))):
        np.testing.assert_allclose(results[1][0, 0, :, 0], slopes, atol=1e-6)


def test_nearest_neighbours_do_not_move() -> None:
    case = Case("GridSample", [ROW, GRID], {"mode": "nearest"}, opset=20, wrt=[1])
    for results in both(case, np.ones((1, 1, 1, 5))):
        np.testing.assert_array_equal(results[1], 0)


def test_the_first_of_tied_maxima_in_a_box_takes_the_gradient() -> None:
    """As torchvision's roi_pool: a bin of zeros, after a ReLU, is one large tie."""
    case = Case(
        "MaxRoiPool", [np.zeros((1, 1, 2, 2)), np.array([[0, 0, 0, 1, 1.0]])], {"pooled_shape": [1, 1]}, wrt=[0]
    )
    for results in both(case, np.full((1, 1, 1, 1), 3.0)):
        np.testing.assert_array_equal(results[0][0, 0], [[3, 0], [0, 0]])


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_without_boxes_the_gradient_is_zero(mode: str) -> None:
    inputs: list[Any] = [np.ones((1, 2, 4, 4)), np.zeros((0, 4)), np.zeros(0, np.int64)]
    case = Case("RoiAlign", inputs, {"mode": mode, "output_height": 2, "output_width": 2}, wrt=[0])
    for results in both(case, np.zeros((0, 2, 2, 2))):
        np.testing.assert_array_equal(results[0], np.zeros((1, 2, 4, 4)))


@pytest.mark.parametrize("keep", [False, -np.inf])
def test_a_query_that_sees_no_key_gets_a_zero_gradient(keep: Any) -> None:
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=(1, 1, 2, 3)) for _ in range(3))
    mask = np.array([[True, True], [False, False]]) if keep is False else np.array([[0, 0], [keep, keep]])
    case = Case("Attention", [query, key, value, mask], opset=24, wrt=[0, 1, 2])
    for results in both(case, np.ones((1, 1, 2, 3))):
        assert all(np.isfinite(grad).all() for grad in results.values())
        np.testing.assert_array_equal(results[0][0, 0, 1], 0)
        assert np.abs(results[0][0, 0, 0]).max() > 0


def test_a_singular_matrix_has_the_gradient_of_its_cofactors() -> None:
    case = Case("Det", [np.array([[1.0, 2.0], [2.0, 4.0]])], output_rank=0)
    for results in both(case, np.array(1.0)):
        np.testing.assert_allclose(results[0], [[4, -2], [-2, 1]])


def test_an_element_that_another_one_was_put_over_has_no_gradient() -> None:
    inputs = [np.array([[[[1.0, 2.0]]]]), np.array([[[[1, 1]]]])]
    case = Case("MaxUnpool", inputs, {"kernel_shape": [1, 2], "strides": [1, 2]}, output_rank=4)
    results = gradients(case, np.array([[[[5.0, 7.0, 0.0, 0.0]]]]))
    np.testing.assert_array_equal(results[0], [[[[0, 7]]]])
