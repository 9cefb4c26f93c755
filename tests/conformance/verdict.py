"""Whether the appended gradient of one node test is right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.inference.shape_inference import infer_shapes
from onnxplain.graph_rewrites.model.canonicalise import MIN_OPSET
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.model.writing import write
from onnxplain.graph_rewrites.verification import as_float64
from onnxplain.graph_rewrites.vjp import append_vjp

from .differences import (
    STEPS,
    TOLERANCE,
    Arrays,
    Slope,
    Values,
    dependent_outputs,
    made_finite,
    signed_cotangents,
    slopes,
    start_points,
)
from .node_tests import NodeTest

FLOATS = {TensorProto.FLOAT, TensorProto.DOUBLE}
INTEGERS = {TensorProto.BOOL, TensorProto.INT32, TensorProto.INT64}
NOT_DIFFERENTIABLE, PASS, REFUSED, FAIL = "not differentiable", "pass", "refused", "fail"


@dataclass(frozen=True)
class Verdict:
    """What came of one test; `reason` says why it was refused or failed.

    `runtime` says how the gradient in the test's own float type fared in ONNX Runtime: "agrees", "runs" (the runtime
    computes other forward values, for example of random numbers), "not in ONNX Runtime" or "" (not tried). `emitted`
    lists the nodes that were appended, as `(operator, element type of the float or bool data)`.
    """

    name: str
    operator: str
    status: str
    reason: str = ""
    runtime: str = ""
    emitted: list[tuple[str, str]] = field(default_factory=list)


def judge(test: NodeTest) -> Verdict:
    """Compares the appended gradient of a test with central differences."""

    def verdict(status: str, reason: object = "", **found: Any) -> Verdict:
        return Verdict(test.name, test.operator, status, " ".join(str(reason).split()), **found)

    if not test.float_inputs or not test.float_outputs:
        return verdict(NOT_DIFFERENTIABLE)
    try:
        raised = _raised(test.model)
    except OnnxplainError as error:
        return verdict(REFUSED, error)
    model = as_float64(raised)
    feeds = {n: x.astype(np.float64) if n in test.float_inputs else x for n, x in test.feeds.items()}
    values = Values(as_float64(raised, strict=False), test.float_outputs)
    try:
        base = values(feeds)
        if not all(np.all(np.isfinite(y)) for y in base.values()):
            feeds = made_finite(feeds, test.float_inputs)
            base = values(feeds)
        repeated = values(feeds)
    except Exception as error:
        return verdict(FAIL, f"float64 evaluation: {type(error).__name__}: {error}")
    if any(not np.array_equal(base[o], repeated[o], equal_nan=True) for o in base):
        return verdict(NOT_DIFFERENTIABLE, "random")
    wrt: dict[str, list[str]] = {}  # from outputs to the inputs that they depend on
    for name in test.float_inputs:
        for output in dependent_outputs(values, feeds, name):
            wrt.setdefault(output, []).append(name)
    if not wrt:
        return verdict(NOT_DIFFERENTIABLE)

    explained = {}
    for output, inputs in wrt.items():
        try:
            explained[output] = append_vjp(model, output, inputs)
        except OnnxplainError as error:
            return verdict(REFUSED, error)
        except Exception as error:
            return verdict(FAIL, f"append_vjp: {type(error).__name__}: {error}")

    cotangents = signed_cotangents(base, wrt)
    names = [name for name in test.float_inputs if any(name in inputs for inputs in wrt.values())]
    for step, point in product(STEPS, start_points(feeds, names)):
        expected = slopes(values, point, names, cotangents, step)
        if expected is not None:
            break
    else:
        return verdict(FAIL, "no point with a derivative found near the test's data")
    runtime = ""
    for output, inputs in wrt.items():
        try:
            grads = _float64_gradients(explained[output], point, output, inputs, cotangents[output])
        except Exception as error:
            return verdict(FAIL, f"float64 gradient: {type(error).__name__}: {error}")
        for name in inputs:
            wrong = _difference(grads[name], expected[name][output])
            if wrong:
                return verdict(FAIL, f"d {output}/d {name}: {wrong}")
        try:
            runtime = _in_runtime(test, point, output, inputs, cotangents[output], values(point)[output], grads)
        except Exception as error:
            return verdict(FAIL, f"ONNX Runtime: {error}")
    emitted = {kind for model in explained.values() for kind in emitted_by(model)}
    return verdict(PASS, runtime=runtime, emitted=sorted(emitted))


def _raised(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model itself, or raised to opset 17: the evaluator lacks operators that older opsets had."""
    opset = max((imported.version for imported in model.opset_import if not imported.domain), default=1)
    return model if opset >= MIN_OPSET else write(read(model))


def _float64_gradients(
    explained: onnx.ModelProto, point: Arrays, output: str, inputs: list[str], cotangent: np.ndarray
) -> Arrays:
    with np.errstate(all="ignore"):
        results = Float64Session(as_float64(explained, strict=False)).run(
            [f"{name}_grad" for name in inputs], {**point, f"{output}_cotangent": cotangent}
        )
    return dict(zip(inputs, results, strict=True))


def _difference(grad: np.ndarray, slope: Slope) -> str:
    """How a gradient contradicts a slope, or "" if it does not."""
    if grad.shape != slope.direction.shape:
        return f"shape {grad.shape} is not {slope.direction.shape}"
    moved = slope.direction != 0  # elements of the data that are infinite are not moved, and not judged
    if not np.all(np.isfinite(grad[moved])):
        return f"{int(np.sum(~np.isfinite(grad[moved])))} elements of the gradient are not finite"
    terms = grad[moved] * slope.direction[moved]
    actual = float(np.sum(terms))
    allowed = TOLERANCE * (float(np.sum(np.abs(terms))) + abs(slope.value)) + slope.rounding
    return "" if abs(actual - slope.value) <= allowed else f"{actual:.9g} is not {slope.value:.9g}"


def _in_runtime(
    test: NodeTest,
    point: Arrays,
    output: str,
    inputs: list[str],
    cotangent: np.ndarray,
    forward: np.ndarray,
    grads: Arrays,
) -> str:
    """Runs the gradient of the test's own model, in its own float types, in ONNX Runtime."""
    own = {name: np.asarray(x, test.feeds[name].dtype) for name, x in point.items()}
    try:
        (y,) = _session(test.model).run([output], own)
    except Exception:  # no kernel, or one that disagrees with the specification on what is valid
        return "not in ONNX Runtime"
    feeds = {**own, f"{output}_cotangent": cotangent.astype(y.dtype)}
    results = _session(append_vjp(test.model, output, inputs)).run([f"{name}_grad" for name in inputs], feeds)
    digits = 2e-2 if any(x.dtype.itemsize < 4 for x in (y, *(own[n] for n in inputs))) else 1e-3
    if y.shape != forward.shape or not np.allclose(y, forward, rtol=digits, atol=digits):
        return "runs"
    for name, result in zip(inputs, results, strict=True):
        # Saturated tanh and sigmoid leave gradients that float32 rounds away beside cotangents of size 1.
        scale = float(np.abs(grads[name]).max(initial=1e-2))
        if not np.allclose(result / scale, grads[name] / scale, atol=digits):
            raise AssertionError(f"d {output}/d {name}: {result.ravel()[:4]} is not {grads[name].ravel()[:4]}")
    return "agrees"


def emitted_by(model: onnx.ModelProto) -> Iterator[tuple[str, str]]:
    """The operators of the appended nodes, each with the type of its data: "float", "bool" or the integers'.

    Integers that come of shapes alone are left out: ONNX Runtime itself computes those on the CPU.
    """
    inferred = infer_shapes(model).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.input, *inferred.output)}
    types |= {tensor.name: tensor.data_type for tensor in inferred.initializer}
    moving = {value.name for value in inferred.input}  # what depends on the data of an input
    for node in inferred.node:
        moves = node.op_type not in ("Shape", "Size") and not moving.isdisjoint(node.input)
        if moves:
            moving.update(node.output)
        if node.name.startswith("onnxplain/"):
            data = node.input[1:] if node.op_type == "Where" else node.input
            used = [types.get(name, 0) for name in data]
            if FLOATS & {*used, *(types.get(name, 0) for name in node.output)}:
                yield node.op_type, "float"
            elif moves and used[0] in INTEGERS:
                yield node.op_type, TensorProto.DataType.Name(used[0]).lower()


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
