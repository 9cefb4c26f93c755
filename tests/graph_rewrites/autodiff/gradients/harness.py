"""Checks one operator's gradient: in float64 against central differences, in float32 through ONNX Runtime."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.inference.shape_inference import infer_shapes
from onnxplain.graph_rewrites.vjp import append_vjp

DOMAIN_VERSIONS = {"ai.onnx.ml": 5}  # of other domains the first
STEP = 1e-6
# Central differences of smooth functions in float64 are right to about STEP**2 + 1e-16 / STEP, relative to the values.
TOLERANCE = 1e-7


@dataclass(frozen=True)
class Case:
    """One node: its operator, inputs (float64 arrays are differentiable; None is an omitted input) and attributes.

    `wrt` lists the inputs to differentiate (default: every float64 one); `constant` lists those that are initializers.
    `outputs` is the number of outputs, `of` the one to differentiate. `output_rank` declares the
    outputs' number of axes where inference cannot tell it. `no_runtime` names why ONNX Runtime cannot run the case.
    """

    op: str
    inputs: Sequence[np.ndarray | None]
    attrs: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    of: int = 0
    wrt: Sequence[int] | None = None
    constant: Sequence[int] = ()
    opset: int = 17
    domain: str = ""
    note: str = ""
    tolerance: float = TOLERANCE
    output_rank: int | None = None
    no_runtime: str = ""

    @property
    def name(self) -> str:
        """The test's id."""
        shapes = "x".join("_" if x is None else "s" + "-".join(map(str, x.shape)) for x in self.inputs)
        attributes = ",".join(f"{k}={v}" for k, v in self.attrs.items() if not isinstance(v, onnx.TensorProto))
        return f"{self.op}[{self.note or attributes}]{shapes}@{self.opset}" + (f"/out{self.of}" if self.of else "")

    @property
    def differentiated(self) -> list[int]:
        """Indices of the inputs whose gradients are checked."""
        floats = [i for i, x in enumerate(self.inputs) if x is not None and x.dtype == np.float64]
        return list(self.wrt) if self.wrt is not None else floats

    def model(self, dtype: type = np.float64, symbolic: bool = False) -> onnx.ModelProto:
        """The one-node model; `symbolic` leaves every size of every input open."""
        names = ["" if x is None else f"x{i}" for i, x in enumerate(self.inputs)]
        arrays = {n: self.cast(x, dtype) for n, x in zip(names, self.inputs, strict=True) if x is not None}
        constants = {f"x{i}" for i in self.constant}
        inputs = [
            helper.make_tensor_value_info(
                n,
                helper.np_dtype_to_tensor_dtype(a.dtype),
                [f"{n}_{axis}" for axis in range(a.ndim)] if symbolic else a.shape,
            )
            for n, a in arrays.items()
            if n not in constants
        ]
        outputs = [f"y{i}" for i in range(self.outputs)]
        node = helper.make_node(self.op, names, outputs, name="node", domain=self.domain, **self.attrs)
        graph = helper.make_graph(
            [node],
            "case",
            inputs,
            [self._declared(name, dtype) for name in outputs],
            [numpy_helper.from_array(arrays[n], n) for n in arrays if n in constants],
        )
        opsets = [helper.make_opsetid("", self.opset)]
        if self.domain:
            opsets.append(helper.make_opsetid(self.domain, DOMAIN_VERSIONS.get(self.domain, 1)))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return infer_shapes(model)

    def _declared(self, name: str, dtype: type) -> onnx.ValueInfoProto:
        if self.output_rank is None:
            return onnx.ValueInfoProto(name=name)
        sizes = [f"{name}_{axis}" for axis in range(self.output_rank)]
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), sizes)

    @staticmethod
    def cast(array: np.ndarray, dtype: type) -> np.ndarray:
        """Float arrays in the run's precision; integer and bool arrays, and float32 ones, as they are."""
        return array.astype(dtype) if array.dtype == np.float64 else array

    def feeds(self, dtype: type = np.float64) -> dict[str, np.ndarray]:
        """The inputs by name."""
        fed = {f"x{i}": x for i, x in enumerate(self.inputs) if x is not None and i not in self.constant}
        return {name: self.cast(x, dtype) for name, x in fed.items()}


def some_of_each(cases: Sequence[Case]) -> list[Case]:
    """The first, the middle and the last case of each operator."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.op].append(case)
    return [group[i] for group in groups.values() for i in sorted({0, len(group) // 2, len(group) - 1})]


def gradients(case: Case, cotangent: np.ndarray, symbolic: bool = False) -> dict[int, np.ndarray]:
    """The appended gradients in float64, by input index."""
    explained = append_vjp(case.model(symbolic=symbolic), f"y{case.of}", [f"x{i}" for i in case.differentiated])
    names = [f"x{i}_grad" for i in case.differentiated]
    results = Float64Session(explained).run(names, {**case.feeds(), f"y{case.of}_cotangent": cotangent})
    return dict(zip(case.differentiated, results, strict=True))


def forward(case: Case) -> np.ndarray:
    """The differentiated output in float64."""
    (y,) = Float64Session(case.model()).run([f"y{case.of}"], case.feeds())
    return np.asarray(y)


def signed_cotangent(case: Case) -> np.ndarray:
    """A random cotangent of both signs, for the differentiated output."""
    y = forward(case)
    return np.asarray(np.random.default_rng(7).normal(size=y.shape), np.float64)


def central_differences(case: Case, cotangent: np.ndarray) -> dict[int, tuple[np.ndarray, float]]:
    """Per differentiated input: a random direction, and the derivative of <y, cotangent> along it."""
    model = case.model()
    session = Float64Session(model)
    rng = np.random.default_rng(11)
    slopes = {}
    for index in case.differentiated:
        x = np.asarray(case.inputs[index])
        direction = rng.normal(size=x.shape)
        values = []
        for sign in (1, -1):
            moved = x + sign * STEP * direction
            if index in case.constant:
                del model.graph.initializer[:]
                arrays = {f"x{i}": np.asarray(case.inputs[i]) for i in case.constant} | {f"x{index}": moved}
                model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in arrays.items())
                (y,) = Float64Session(model).run([f"y{case.of}"], case.feeds())
            else:
                (y,) = session.run([f"y{case.of}"], {**case.feeds(), f"x{index}": moved})
            values.append(np.asarray(y, np.float64))
        slopes[index] = (direction, float(np.sum((values[0] - values[1]) / (2 * STEP) * cotangent)))
    return slopes


def assert_gradient(case: Case, rules: dict[int, np.ndarray], cotangent: np.ndarray) -> None:
    """Compares gradients with central differences along a random direction per input."""
    for index, (direction, slope) in central_differences(case, cotangent).items():
        grad = rules[index]
        assert grad.shape == np.shape(case.inputs[index]), f"input {index}: shape {grad.shape}"
        scale = float(np.sum(np.abs(grad * direction))) + abs(slope) + 1e-9
        difference = abs(float(np.sum(grad * direction)) - slope)
        assert difference <= case.tolerance * scale, f"input {index}: {np.sum(grad * direction)} is not {slope}"


def runtime_gradients(case: Case, cotangent: np.ndarray, dtype: type = np.float32) -> dict[int, np.ndarray]:
    """The appended gradients through ONNX Runtime on the CPU."""
    model = append_vjp(case.model(dtype), f"y{case.of}", [f"x{i}" for i in case.differentiated])
    # In ceil mode onnx's own inference counts windows that the specification drops: it objects to the right shape.
    # In float16 it objects to constants of function bodies.
    onnx.checker.check_model(model, full_check=dtype == np.float32 and not case.attrs.get("ceil_mode"))
    element = model.graph.input[-1].type.tensor_type.elem_type
    assert element == helper.np_dtype_to_tensor_dtype(np.dtype(dtype)) or case.op == "Cast"
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    cotangent = cotangent.astype(helper.tensor_dtype_to_np_dtype(element))
    feeds = {**case.feeds(dtype), f"y{case.of}_cotangent": cotangent}
    results = session.run([f"x{i}_grad" for i in case.differentiated], feeds)
    return dict(zip(case.differentiated, results, strict=True))
