"""Checks one operator of ONNX Runtime: its inferred shape, its decomposition's values, and its gradient.

The decomposition is compared with ONNX Runtime's own kernel in float32; the gradient, of the model with the operator
in it, with central differences of the decomposition in float64 and with ONNX Runtime's in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.autodiff.lower import lower
from onnxplain.graph_rewrites.graph.tensors import is_static
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.model.writing import write
from onnxplain.graph_rewrites.verification import as_float64
from onnxplain.graph_rewrites.vjp import append_vjp

Array: TypeAlias = Any  # an ndarray or a numpy scalar
STEP = 1e-6
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Quantised:
    """A float input that the model quantises before the operator takes it."""

    x: Array
    scale: Array
    zero: Array


@dataclass(frozen=True)
class Case:
    """One node: its operator, inputs (float64 arrays and `Quantised` ones are differentiable) and attributes.

    `constant` lists the inputs that are initializers; `of` is the output to differentiate, `dequantise` the scale and
    zero point to read a quantised output with. `values`: how far values may be off. `no_runtime`
    names why ONNX Runtime cannot run the case on a CPU.
    """

    op: str
    inputs: Sequence[Array | Quantised | None]
    attrs: dict[str, Any] = field(default_factory=dict)
    domain: str = "com.microsoft"
    outputs: int = 1
    of: int = 0
    constant: Sequence[int] = ()
    dequantise: tuple[Array, Array] | None = None
    opset: int = 17
    note: str = ""
    values: float = 2e-5
    wrt: Sequence[int] | None = None
    no_runtime: str = ""

    @property
    def name(self) -> str:
        """The test's id."""
        return f"{self.op}[{self.note or ','.join(f'{k}={v}' for k, v in self.attrs.items())}]/{self.of}@{self.opset}"

    @property
    def differentiated(self) -> list[int]:
        """Indices of the inputs whose gradients are checked."""
        if self.wrt is not None:
            return list(self.wrt)
        return [i for i, x in enumerate(self.inputs) if _floats(x)]

    def model(self, symbolic: bool = False) -> onnx.ModelProto:
        """The float32 model: `x0`, `x1` ... to `y`; `symbolic` leaves every size of every input open."""
        inputs, initializers, nodes, names = [], [], [], []
        for i, value in enumerate(self.inputs):
            if value is None:
                names.append("")
                continue
            array = _narrow(value.x if isinstance(value, Quantised) else value)
            names.append(f"x{i}")
            if i in self.constant:
                initializers.append(numpy_helper.from_array(array, f"x{i}"))
            else:
                sizes = [f"x{i}_{axis}" for axis in range(array.ndim)] if symbolic else array.shape
                dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
                inputs.append(helper.make_tensor_value_info(f"x{i}", dtype, sizes))
            if isinstance(value, Quantised):
                initializers += _quantisation(f"x{i}", value.scale, value.zero)
                nodes.append(helper.make_node("QuantizeLinear", [f"x{i}", f"x{i}_scale", f"x{i}_zero"], [f"q{i}"]))
                names[-1] = f"q{i}"
        results = [f"o{i}" for i in range(self.outputs)]
        nodes.append(helper.make_node(self.op, names, results, name="node", domain=self.domain, **self.attrs))
        if self.dequantise:
            initializers += _quantisation("y", *self.dequantise)
            nodes.append(helper.make_node("DequantizeLinear", [f"o{self.of}", "y_scale", "y_zero"], ["y"]))
        else:
            nodes.append(helper.make_node("Identity", [f"o{self.of}"], ["y"]))
        graph = helper.make_graph(nodes, "case", inputs, [onnx.ValueInfoProto(name="y")], initializers)
        graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def feeds(self, dtype: type = np.float32, constants: bool = False) -> dict[str, Array]:
        """The inputs by name; with the initializers, if asked."""
        left_out = () if constants else self.constant
        fed = {i: x.x if isinstance(x, Quantised) else x for i, x in enumerate(self.inputs) if i not in left_out}
        return {f"x{i}": _narrow(x, dtype) for i, x in fed.items() if x is not None}


def _floats(value: Array | Quantised | None) -> bool:
    return isinstance(value, Quantised) or (value is not None and value.dtype == np.float64)


def _narrow(array: Array, dtype: type = np.float32) -> Array:
    array = np.asarray(array)
    return array.astype(dtype) if array.dtype in (np.float64, np.float32) else array


def _quantisation(name: str, scale: Array, zero: Array) -> list[onnx.TensorProto]:
    scale = np.asarray(scale, np.float32)
    return [numpy_helper.from_array(scale, f"{name}_scale"), numpy_helper.from_array(np.asarray(zero), f"{name}_zero")]


def run(model: onnx.ModelProto, outputs: list[str], feeds: dict[str, Array]) -> list[Array]:
    """By ONNX Runtime on the CPU, node by node as they are written."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(outputs, feeds)]


def unfused(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in standard operators on floats."""
    work = read(model)
    lower(work)
    return write(work)


def check_values(case: Case) -> None:
    """The decomposition computes what ONNX Runtime's kernel does, and shapes are inferred."""
    model = case.model()
    (expected,) = run(model, ["y"], case.feeds())
    tensor = read(model).graph.outputs[0]
    if is_static(tensor):
        assert list(tensor.shape) == list(expected.shape)
    assert len(tensor.shape) == expected.ndim
    (got,) = run(unfused(model), ["y"], case.feeds())
    scale = np.abs(expected).max(initial=1e-6)
    # Float arithmetic may round a quantised output the other way, by one step.
    tolerance = case.values if case.dequantise is None else 1.001 * float(case.dequantise[0]) / scale
    np.testing.assert_allclose(got / scale, expected / scale, rtol=0, atol=tolerance)


def check_gradient(case: Case, symbolic: bool) -> None:
    """Gradients against central differences in float64, along a random direction per input."""
    names = [f"x{i}" for i in case.differentiated]
    explained = append_vjp(case.model(symbolic), "y", names)
    assert [node.op_type for node in explained.graph.node].count(case.op) == 1
    wide = as_float64(unfused(explained))
    kept = [tensor for tensor in wide.graph.initializer if tensor.name not in {f"x{i}" for i in case.constant}]
    del wide.graph.initializer[:]
    wide.graph.initializer.extend(kept)
    session = Float64Session(wide)
    feeds = case.feeds(np.float64, constants=True)
    (y,) = session.run(["y"], feeds)
    rng = np.random.default_rng(7)
    cotangent = rng.normal(size=y.shape)
    grads = dict(
        zip(names, session.run([f"{n}_grad" for n in names], {**feeds, "y_cotangent": cotangent}), strict=True)
    )
    for name in names:
        direction = rng.normal(size=feeds[name].shape)
        ends = [session.run(["y"], {**feeds, name: feeds[name] + s * STEP * direction})[0] for s in (1, -1)]
        slope = float(np.sum((ends[0] - ends[1]) / (2 * STEP) * cotangent))
        got = float(np.sum(grads[name] * direction))
        scale = float(np.sum(np.abs(grads[name] * direction))) + abs(slope) + 1e-9
        assert grads[name].shape == feeds[name].shape
        assert abs(got - slope) <= TOLERANCE * scale, f"{name}: {got} is not {slope}"
    if not case.no_runtime and case.dequantise is None and not any(isinstance(x, Quantised) for x in case.inputs):
        narrow = run(explained, [f"{n}_grad" for n in names], {**case.feeds(), "y_cotangent": _narrow(cotangent)})
        for name, value in zip(names, narrow, strict=True):
            size = np.abs(grads[name]).max(initial=1e-6)
            np.testing.assert_allclose(value / size, grads[name] / size, atol=1e-4, err_msg=name)
