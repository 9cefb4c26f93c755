"""Models of float16, bfloat16 and float64: gradients that do not underflow, in the types of the contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxplain.engine.gradcheck.certificate import certify
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.rewrite import rewrite
from onnxplain.graph_rewrites.verification import as_float64
from onnxplain.graph_rewrites.vjp import append_vjp

from ..networks import Array, Net, explain, run, small_cnn


def in_type(model: onnx.ModelProto, dtype: int) -> onnx.ModelProto:
    """The model with every float tensor in another type."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    to = helper.tensor_dtype_to_np_dtype(dtype)
    for tensor in result.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(to), tensor.name))
    for value in (*result.graph.input, *result.graph.output):
        value.type.tensor_type.elem_type = dtype
    return result


def feeds(dtype: Any = np.float32) -> dict[str, Array]:
    return {"image": np.random.default_rng(3).normal(size=(2, 3, 8, 8)).astype(dtype)}


@pytest.mark.parametrize("size", [1e-4, 1e-6, 1e-7])
def test_gradients_between_do_not_underflow(size: float) -> None:
    """A weight this small makes gradients before it too small for float16, and a large one after it large again."""
    net = Net(seed=4)
    x = net.add("Relu", net.conv(net.input("image", [2, 3, 8, 8]), 3, 4), out="a")
    x = net.add("Mul", net.add("Mul", x, net.const(1000.0)), net.const(1000.0))
    x = net.add("Mul", x, net.const(size), out="small")
    x = net.add("Mul", net.add("Mul", x, net.const(1e-3)), net.const(1e-3))
    net.output(net.head(x, 4, 5), [2, 5])
    model = net.model()
    narrow = in_type(model, TensorProto.FLOAT16)
    g = np.random.default_rng(5).normal(size=(2, 5)).astype(np.float16) / 100
    wide = run(append_vjp(model, "logits", "a"), feeds() | {"logits_cotangent": g.astype(np.float32)})["a_grad"]
    got = run(append_vjp(narrow, "logits", "a"), feeds(np.float16) | {"logits_cotangent": g}, check=False)["a_grad"]
    assert got.dtype == np.float16
    expected = wide.astype(np.float16)  # what underflows here does so at the end alone
    np.testing.assert_allclose(got, expected, rtol=5e-3, atol=2e-7)


def test_maps_of_a_float16_model_are_made_of_float32_gradients() -> None:
    """Scores a millionth in size: their gradients, in float16, would all be zero."""
    model = small_cnn()
    for tensor in model.graph.initializer:
        if list(tensor.dims) in ([5, 6], [5]):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1e-6), tensor.name))
    narrow = in_type(model, TensorProto.FLOAT16)
    explained = rewrite(narrow, outputs=["gradient", "cam", "heatmap"])
    target = [[1], [1]]
    got = explain(explained, feeds(np.float16), target)
    held = in_type(narrow, TensorProto.FLOAT)
    for tensor, source in zip(held.graph.initializer, narrow.graph.initializer, strict=True):
        values = numpy_helper.to_array(source)
        if values.dtype == np.float16:
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    expected = explain(rewrite(held, outputs=["gradient", "cam", "heatmap"]), feeds(), target)
    assert got["gradient"].dtype == got["cam"].dtype == np.float32
    assert 0 < np.abs(expected["gradient"]).max() < 6e-8  # below the smallest float16
    np.testing.assert_allclose(got["gradient"], expected["gradient"], rtol=1e-5)
    np.testing.assert_allclose(got["heatmap"], expected["heatmap"], atol=5e-3)


def products() -> onnx.ModelProto:
    """Convolutions of one pixel as matrix products: ONNX Runtime's CPU has none of float64."""
    net = Net(seed=6)
    x = net.add("Transpose", net.input("image", ["N", 3, 8, 8]), perm=[0, 2, 3, 1])
    a = net.add("Relu", net.add("MatMul", x, net.random(3, 4)), out="a")
    pooled = net.add("ReduceMean", a, axes=[1, 2], keepdims=0)
    net.output(net.add("Gemm", pooled, net.random(4, 5), out="logits"), ["N", 5])
    return net.model()


@pytest.mark.parametrize(
    ("model", "layer", "dtype"), [(small_cnn(), "relu1", TensorProto.FLOAT16), (products(), "a", TensorProto.DOUBLE)]
)
def test_a_model_of_another_float_type_is_certified(model: onnx.ModelProto, layer: str, dtype: int) -> None:
    model = in_type(model, dtype)
    certificate = certify(model, layers=layer)
    assert certificate.passed, certificate.findings
    explained = append_vjp(model, "logits", ["image", layer])
    types = {v.name: v.type.tensor_type.elem_type for v in (*explained.graph.output, *explained.graph.input)}
    assert {types[name] for name in ("image_grad", f"{layer}_grad", "logits_cotangent")} == {dtype}


def test_bfloat16() -> None:
    """ONNX Runtime has few kernels for it on a CPU: the same model is computed in float64."""
    original = small_cnn(opset=22)
    original.ir_version = 10
    model = in_type(original, TensorProto.BFLOAT16)
    explained = append_vjp(model, "logits", "image")
    onnx.checker.check_model(explained, full_check=True)
    inner = [node for node in explained.graph.node if node.name.startswith("onnxplain/gradient")]
    casts = [node for node in inner if node.op_type == "Cast" and node.attribute[0].i == TensorProto.BFLOAT16]
    assert casts == []
    held = in_type(original, TensorProto.FLOAT)
    for tensor, source in zip(held.graph.initializer, model.graph.initializer, strict=True):
        if source.data_type == TensorProto.BFLOAT16:
            values = numpy_helper.to_array(source).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    fed = feeds(np.float64) | {"logits_cotangent": np.random.default_rng(0).normal(size=(2, 5))}
    got, expected = (
        Float64Session(as_float64(m)).run(["image_grad"], fed)[0]
        for m in (explained, append_vjp(held, "logits", "image"))
    )
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)


def test_guided_rules_know_a_rectifier_of_float16() -> None:
    net = Net()
    x = net.conv(net.input("image", [2, 3, 8, 8]), 3, 4)
    zero = net.const(0.0)
    a = net.add("Where", net.add("Greater", x, zero), x, zero, out="a")
    net.output(net.head(net.conv(a, 4, 4), 4, 5), [2, 5])
    narrow = in_type(net.model(), TensorProto.FLOAT16)
    assert "guided" in rewrite(narrow, method="guided-backprop").metadata_props[-1].value
