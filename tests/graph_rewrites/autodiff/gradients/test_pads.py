"""Padding by slices and concatenation, as from opset 19 on, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto
from onnxplain.graph_rewrites.autodiff.lib.pads import pad
from onnxplain.graph_rewrites.build.emitter import Emitter
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.model.writing import write

from ...networks import Net, run

X = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
PADS = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 2, 1, 3), (-1, 0, 0, -2), (-1, 2, 1, -3), (0, -4, 0, 1)]


def expected(pads: tuple[int, ...], value: float) -> np.ndarray:
    begin, end = np.array(pads[:2]), np.array(pads[2:])
    whole = np.pad(X, list(zip(np.maximum(begin, 0), np.maximum(end, 0), strict=True)), constant_values=value)
    first, last = np.maximum(-begin, 0), whole.shape - np.maximum(-end, 0)
    return whole[first[0] : last[0], first[1] : last[1]]


@pytest.mark.parametrize("opset", [17, 21])
@pytest.mark.parametrize("known", [True, False], ids=["known pads", "pads at run time"])
@pytest.mark.parametrize("shape", [[3, 4], ["H", "W"]], ids=["static", "symbolic"])
@pytest.mark.parametrize("pads", PADS)
def test_pads_fill_and_cut(pads: tuple[int, ...], shape: list[int | str], known: bool, opset: int) -> None:
    net = Net(opset=opset)
    net.output(net.add("Neg", net.input("x", shape), out="y"), shape)
    net.output(net.add("Neg", net.input("pads", [4], TensorProto.INT64), out="negated"), [4], TensorProto.INT64)
    op = Emitter(read(net.model()))
    x, given = op.model.graph.inputs
    results = [pad(op, x, list(pads) if known else given), pad(op, x, list(pads), op.constant(np.float32(7)))]
    op.model.graph.outputs.extend(op.Identity(result) for result in results)
    _, _, zeros, sevens = run(write(op.model), {"x": X, "pads": np.array(pads)}).values()
    np.testing.assert_array_equal(zeros, expected(pads, 0))
    np.testing.assert_array_equal(sevens, expected(pads, 7))
