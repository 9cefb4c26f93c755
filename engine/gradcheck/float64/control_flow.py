"""Loop and Scan, which onnx's reference evaluator computes in part or wrongly.

Found with onnx 1.23, by comparison with ONNX Runtime:

    Loop    does not run where the condition is omitted; joins what it should stack; refuses to stack no steps at all
    Scan    forwards and along the first axis only
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx.reference.op_run import OpRun

Array: TypeAlias = np.ndarray[Any, Any]


class Loop(OpRun):
    """The body, while its condition holds and for a number of steps at most."""

    def need_context(self) -> bool:
        """The body reads tensors of the graphs around it."""
        return True

    def _run(
        self,
        trips: Array | None,
        condition: Array | None,
        *states: Any,
        body: Any,
        context: dict[str, Any],
        attributes: Any = None,
    ) -> tuple[Any, ...]:
        proceed, step, count = condition is None or bool(condition), 0, len(states)
        written: list[list[Array]] = [[] for _ in body.output_names[1 + count :]]
        while proceed and (trips is None or step < trips):
            feeds = zip(body.input_names, [np.array(step), np.array(True), *states], strict=True)
            condition, *results = body.run(None, context | dict(feeds), attributes=attributes)
            states, proceed, step = tuple(results[:count]), bool(condition), step + 1
            for values, result in zip(written, results[count:], strict=True):
                values.append(result)
        types = body.output_types[1 + count :]
        return (*states, *(np.stack(v) if v else _empty(t) for v, t in zip(written, types, strict=True)))


def _empty(kind: onnx.TypeProto) -> Array:
    """No slices of a type; a size that is unknown counts as 0, as in ONNX Runtime."""
    sizes = [dim.dim_value for dim in kind.tensor_type.shape.dim]
    return np.zeros((0, *sizes), onnx.helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type))


class Scan(OpRun):
    """The body, once for each slice of the scan inputs."""

    def need_context(self) -> bool:
        """The body reads tensors of the graphs around it."""
        return True

    def _run(
        self,
        *args: Array,
        body: Any,
        num_scan_inputs: int,
        context: dict[str, Array],
        attributes: Any = None,
        **where: Any,
    ) -> tuple[Array, ...]:
        first = len(args) - num_scan_inputs
        states, sequences = list(args[:first]), args[first:]
        outputs = len(body.output_names) - first

        def given(name: str, count: int) -> list[int]:
            return list(where[name] or [0] * count)

        reads = [np.moveaxis(x, a, 0) for x, a in zip(sequences, given("scan_input_axes", len(sequences)), strict=True)]
        directions = given("scan_input_directions", len(sequences))
        reads = [x[::-1] if backwards else x for x, backwards in zip(reads, directions, strict=True)]
        written: list[list[Array]] = [[] for _ in range(outputs)]
        for slices in zip(*reads, strict=True):
            feeds = dict(zip(body.input_names, [*states, *slices], strict=True))
            results = body.run(None, context | feeds, attributes=attributes)
            states = results[:first]
            for values, result in zip(written, results[first:], strict=True):
                values.append(result)
        directions = given("scan_output_directions", outputs)
        ordered = [values[::-1] if backwards else values for values, backwards in zip(written, directions, strict=True)]
        axes = given("scan_output_axes", outputs)
        return (*states, *(np.stack(values, axis) for values, axis in zip(ordered, axes, strict=True)))


CONTROL_FLOW: list[type[OpRun]] = [Loop, Scan]
