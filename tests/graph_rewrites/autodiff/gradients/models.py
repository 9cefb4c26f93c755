"""Checks the gradients of a whole model, as `harness` does for one node; models are written as ONNX text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime as ort
from onnx import parser
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.verification import as_float64
from onnxplain.graph_rewrites.vjp import append_vjp

Array = np.ndarray
STEP = 1e-6


def model_of(text: str, opset: int = 17) -> onnx.ModelProto:
    """The checked model of a graph as ONNX text, in which `none` is an omitted input of a node."""
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    for node in model.graph.node:
        node.input[:] = ["" if name == "none" else name for name in node.input]
    onnx.checker.check_model(model, full_check=True)
    return model


def run64(model: onnx.ModelProto, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
    """The named outputs in float64."""
    return Float64Session(as_float64(model)).run(outputs, dict(feeds))


def signed(model: onnx.ModelProto, output: str, feeds: Mapping[str, Array]) -> Array:
    """A random cotangent of both signs for the output."""
    (y,) = run64(model, [output], feeds)
    return np.asarray(np.random.default_rng(7).normal(size=y.shape))


def gradients64(
    model: onnx.ModelProto, output: str, wrt: Sequence[str], feeds: Mapping[str, Array], cotangent: Array
) -> dict[str, Array]:
    """The appended gradients in float64."""
    explained = append_vjp(as_float64(model), output, wrt)
    names = [value.name for value in explained.graph.output[-len(wrt) :]]
    results = Float64Session(explained).run(names, {**feeds, f"{output}_cotangent": cotangent})
    return dict(zip(wrt, results, strict=True))


def assert_gradients(
    model: onnx.ModelProto,
    output: str,
    wrt: Sequence[str],
    feeds: Mapping[str, Array],
    *,
    tolerance: float = 1e-7,
    runtime: bool = True,
) -> dict[str, Array]:
    """Compares the gradients with central differences in float64, and with ONNX Runtime's in float32."""
    cotangent = signed(model, output, feeds)
    grads = gradients64(model, output, wrt, feeds, cotangent)
    rng = np.random.default_rng(11)
    for name in wrt:
        direction = rng.normal(size=feeds[name].shape)
        up, down = (
            run64(model, [output], {**feeds, name: feeds[name] + sign * STEP * direction})[0] for sign in (1, -1)
        )
        slope = float(np.sum((up - down) / (2 * STEP) * cotangent))
        assert grads[name].shape == feeds[name].shape, name
        scale = float(np.sum(np.abs(grads[name] * direction))) + abs(slope) + 1e-9
        assert abs(float(np.sum(grads[name] * direction)) - slope) <= tolerance * scale, (name, slope)
    if runtime:
        for name, actual in runtime_gradients(model, output, wrt, feeds, cotangent).items():
            scale = np.abs(grads[name]).max(initial=1e-6)
            np.testing.assert_allclose(actual / scale, grads[name] / scale, atol=2e-5, err_msg=name)
    return grads


def runtime_gradients(
    model: onnx.ModelProto, output: str, wrt: Sequence[str], feeds: Mapping[str, Array], cotangent: Array
) -> dict[str, Array]:
    """The appended gradients in float32 through ONNX Runtime on the CPU."""
    explained = append_vjp(model, output, wrt)
    onnx.checker.check_model(explained, full_check=True)
    session = ort.InferenceSession(explained.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {**feeds, f"{output}_cotangent": cotangent}
    fed = {name: x.astype(np.float32) if x.dtype == np.float64 else x for name, x in given.items()}
    return dict(zip(wrt, session.run(None, fed)[-len(wrt) :], strict=True))
