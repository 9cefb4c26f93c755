"""Max pooling where values tie and windows overlap, against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.vjp import append_vjp


def gradient(op: str, x: list[Any], cotangent: list[Any], double: bool, **attributes: Any) -> np.ndarray:
    """The gradient of one pooling node for one sample of one channel, in float64 or by ONNX Runtime in float32."""
    image, g = np.array(x, np.float64)[None, None], np.array(cotangent, np.float64)[None, None]
    kind = TensorProto.DOUBLE if double else TensorProto.FLOAT
    infos = [helper.make_tensor_value_info("x", kind, image.shape), helper.make_tensor_value_info("y", kind, g.shape)]
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], **attributes)], "ties", infos[:1], infos[1:])
    model = append_vjp(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "y", "x")
    feeds = {"x": image, "y_cotangent": g}
    if double:
        return np.asarray(Float64Session(model).run(["x_grad"], feeds)[0][0, 0])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(
        session.run(["x_grad"], {name: array.astype(np.float32) for name, array in feeds.items()})[0][0, 0]
    )


RUNTIMES = pytest.mark.parametrize("double", [True, False], ids=["float64", "onnxruntime"])


@RUNTIMES
def test_the_first_of_equal_maxima_takes_the_gradient(double: bool) -> None:
    x = [[5, 5, 0, 7], [5, 5, 7, 7]]
    actual = gradient("MaxPool", x, [[2, -3]], double, kernel_shape=[2, 2], strides=[2, 2])
    np.testing.assert_array_equal(actual, [[2, 0, 0, -3], [0, 0, 0, 0]])


@RUNTIMES
def test_a_maximum_shared_by_overlapping_windows_takes_all_their_gradients(double: bool) -> None:
    x = [[1, 2, 3], [4, 9, 5], [6, 7, 8]]
    actual = gradient("MaxPool", x, [[1, 2], [4, 8]], double, kernel_shape=[2, 2])
    np.testing.assert_array_equal(actual, [[0, 0, 0], [0, 15, 0], [0, 0, 0]])


@RUNTIMES
def test_ties_in_overlapping_windows(double: bool) -> None:
    # Windows of 3 over a constant row: each gives to its own first element.
    actual = gradient("MaxPool", [1, 1, 1, 1, 1], [1, 10, 100], double, kernel_shape=[3])
    np.testing.assert_array_equal(actual, [1, 10, 100, 0, 0])


@RUNTIMES
def test_padding_never_wins_against_negative_values(double: bool) -> None:
    actual = gradient("MaxPool", [-3, -2, -5, -4], [1, 10], double, kernel_shape=[3], strides=[2], pads=[1, 0])
    np.testing.assert_array_equal(actual, [0, 11, 0, 0])


@RUNTIMES
def test_column_major_positions_do_not_change_the_gradient(double: bool) -> None:
    x = [[1, 9, 2], [8, 3, 7]]
    actual = gradient("MaxPool", x, [[1, 10]], double, kernel_shape=[2, 2], storage_order=1)
    np.testing.assert_array_equal(actual, [[0, 11, 0], [0, 0, 0]])


@RUNTIMES
def test_ceil_mode_keeps_the_partial_window(double: bool) -> None:
    actual = gradient("MaxPool", [1, 2, 3, 4, 5], [1, 10, 100], double, kernel_shape=[2], strides=[2], ceil_mode=1)
    np.testing.assert_array_equal(actual, [0, 1, 0, 10, 100])


@RUNTIMES
def test_a_global_maximum_that_ties_goes_to_the_first(double: bool) -> None:
    actual = gradient("GlobalMaxPool", [[1, 6], [6, 6]], [[3]], double)
    np.testing.assert_array_equal(actual, [[0, 3], [0, 0]])


@RUNTIMES
@pytest.mark.parametrize("op", ["LpPool", "GlobalLpPool"])
def test_a_window_of_zeros_has_no_gradient(op: str, double: bool) -> None:
    attributes = {"kernel_shape": [2], "strides": [2]} if op == "LpPool" else {}
    cotangent = [1, 1] if op == "LpPool" else [1]
    x = [0, 0, 3, 4] if op == "LpPool" else [0, 0, 0, 0]
    expected = [0, 0, 0.6, 0.8] if op == "LpPool" else [0, 0, 0, 0]
    np.testing.assert_allclose(gradient(op, x, cotangent, double, **attributes), expected, atol=1e-6)
