"""Operators with operands to run them on: those of the gradients' cases, of ONNX Runtime's operators, and further ones.

Operands are those of inference with common attributes: nothing trains, and channels lie where they do by default.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.autodiff.lower import lower
from onnxplain.graph_rewrites.build.graph_io import prune
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.model.writing import write

from ..autodiff.decompositions import cases, cases_attention, cases_quantised
from ..autodiff.decompositions.harness import Quantised
from ..autodiff.gradients.test_gradients import CASES
from .further_operands import FURTHER

Array: TypeAlias = Any  # an ndarray or a numpy scalar
Runner: TypeAlias = Literal["numpy", "kernel", "decomposition"]
Run: TypeAlias = Callable[[Sequence[Array | None]], list[Array]]
MS = "com.microsoft::"
DATA = {"Where": 1, f"{MS}QLinearWhere": 1, f"{MS}QLinearConcat": 2}  # else the first input
UNUSUAL = {"training_mode", "channels_last"}
MOST = 16  # probes of an operator


@dataclass(frozen=True, eq=False)
class Probe:
    """One node and its inputs, which may be exchanged for others of the same shapes.

    Standard operators on floats run in float64 with numpy, others in ONNX Runtime: by its own kernels, or as standard
    operators where the CPU has none.
    """

    key: str
    inputs: Sequence[Array | None]
    attrs: Mapping[str, Any]
    opset: int
    outputs: int = 1
    constant: Sequence[int] = ()
    by: Runner = "numpy"

    @property
    def index(self) -> int:
        """Which input holds the data."""
        return DATA.get(self.key, 0)

    @property
    def data(self) -> Array:
        return self.inputs[self.index]

    def run(self, inputs: Sequence[Array | None] | None = None) -> list[Array]:
        """The outputs, for these inputs or others."""
        given = self.inputs if inputs is None else inputs
        if any(given[i] is not self.inputs[i] for i in self.constant):
            return replace(self, inputs=given).run()
        with np.errstate(all="ignore"):
            return self._runner(given)

    def at(self, *changes: tuple[int, Array]) -> Array:
        """The first output with some inputs exchanged."""
        inputs = list(self.inputs)
        for index, value in changes:
            inputs[index] = value
        return self.run(inputs)[0]

    def of(self, data: Array) -> Array:
        """The first output for other data."""
        return self.at((self.index, np.asarray(data, self.data.dtype)))

    @cached_property
    def output(self) -> Array:
        """The first output."""
        return self.run()[0]

    @cached_property
    def _runner(self) -> Run:
        names = [f"x{i}" if x is not None else "" for i, x in enumerate(self.inputs)]
        narrow = np.float64 if self.by == "numpy" else np.float32
        arrays = {n: _cast(x, narrow) for n, x in zip(names, self.inputs, strict=True) if x is not None}
        constants = {f"x{i}" for i in self.constant}
        domain, _, op = self.key.rpartition("::")
        results = [f"y{i}" for i in range(self.outputs)]
        own = [f"node_{name}" for name in results]  # a decomposition takes its place for readers alone
        graph = helper.make_graph(
            [
                helper.make_node(op, names, own, domain=domain, **self.attrs),
                *(helper.make_node("Identity", [name], [result]) for name, result in zip(own, results, strict=True)),
            ],
            "probe",
            [
                helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
                for n, a in arrays.items()
                if n not in constants
            ],
            [onnx.ValueInfoProto(name=name) for name in results],
            [numpy_helper.from_array(arrays[n], n) for n in arrays if n in constants],
        )
        opsets = [helper.make_opsetid("", self.opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        model = _lowered(model) if self.by == "decomposition" else model
        run = Float64Session(model).run if self.by == "numpy" else _in_runtime(model)
        fed = {f"x{i}": i for i, x in enumerate(self.inputs) if x is not None and i not in self.constant}

        def result(inputs: Sequence[Array | None]) -> list[Array]:
            return [np.asarray(y) for y in run(results, {n: _cast(inputs[i], narrow) for n, i in fed.items()})]

        return result


def _cast(array: Array, dtype: type) -> Array:
    array = np.asarray(array)
    return array.astype(dtype) if array.dtype in (np.float64, dtype) else array


def _in_runtime(model: onnx.ModelProto) -> Callable[..., list[Array]]:
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run


def _lowered(model: onnx.ModelProto) -> onnx.ModelProto:
    work = read(model)
    lower(work)
    prune(work, [])
    return write(work)


def _probes() -> Iterator[Probe]:
    for case in CASES:
        key = f"{case.domain}::{case.op}" if case.domain else case.op
        yield Probe(key, case.inputs, case.attrs, case.opset, case.outputs, case.constant)
    for case in (*cases.CASES, *cases_attention.CASES, *cases_quantised.CASES):
        key = f"{case.domain}::{case.op}" if case.domain else case.op
        inputs = [_integers(x) if isinstance(x, Quantised) else x for x in case.inputs]
        by: Runner = "decomposition" if case.no_runtime else "kernel"
        yield Probe(key, inputs, case.attrs, case.opset, case.outputs, case.constant, by)


def _integers(x: Quantised) -> Array:
    limits = np.iinfo(x.zero.dtype)
    return np.clip(np.rint(x.x / x.scale) + x.zero, limits.min, limits.max).astype(x.zero.dtype)


def _is_usual(probe: Probe) -> bool:
    trains = probe.key == "Dropout" and len(probe.inputs) > 2 and bool(probe.inputs[2])
    return not trains and not any(probe.attrs.get(name) for name in UNUSUAL)


@dataclass(frozen=True, eq=False)
class Operator:
    """An operator by its key, and nodes of it."""

    key: str
    probes: Sequence[Probe] = ()


def _operators() -> dict[str, Operator]:
    found: dict[str, list[Probe]] = defaultdict(list)
    for probe in filter(_is_usual, _probes()):
        unseeded = {name: value for name, value in probe.attrs.items() if name != "seed"}
        found[probe.key].append(replace(probe, attrs=unseeded))
    some = {key: [probes[i] for i in _spread(len(probes))] for key, probes in found.items()}
    for case in FURTHER:
        probe = Probe(case.key, case.inputs, case.attrs, case.opset, case.outputs, (), case.by)
        some.setdefault(case.key, []).append(probe)
    return {key: Operator(key, probes) for key, probes in some.items()}


def _spread(count: int) -> list[int]:
    """Up to `MOST` indices, evenly from the first to the last."""
    return sorted({round(i) for i in np.linspace(0, count - 1, MOST)})


OPERATORS: dict[str, Operator] = _operators()
