"""If, Loop and Scan: the gradient is an If, Loop or Scan whose body holds the body's nodes and their reverse sweep.

A Loop or Scan first runs once more, recording the states that each step starts from. A second one then visits the steps
in reverse: it carries the gradients of the states, and those of captured tensors as sums over the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx_graphsurgeon as gs

from ....build.emitter import Emitter
from ....graph.tensors import Tensor
from ...lib.loop_body import LoopBody, subgraph_vjp
from ...reverse import Gradient, Node, gradient_of

STEP, CONDITION = gs.Variable("step", np.dtype(np.int64), []), gs.Variable("condition", np.dtype(np.bool_), [])


@gradient_of("If")
def if_(op: Emitter, node: Node, *grads: Tensor | None) -> list[Gradient]:
    """An If on the same condition; each branch gives the gradients of the tensors that either of them captures."""
    wanted = [tensor for tensor in node.captured if tensor.name in node.path]
    branches = {}
    for name in ("then_branch", "else_branch"):
        with op.subgraph(name) as branch:
            branch.outputs = subgraph_vjp(op, node, node.attrs[name], {}, grads, wanted)
        branches[name] = branch
    results = iter(_emit(op, "If", node.inputs, len(wanted), **branches))
    return [None, *(next(results) if tensor.name in node.path else None for tensor in node.captured)]


@gradient_of("Loop")
def loop(op: Emitter, node: Node, *grads: Tensor | None) -> list[Gradient]:
    """Backwards over the steps that there were, a number known only at run time; none to the condition."""
    steps = LoopBody(op, node, [STEP, CONDITION, *node.inputs[2:]], range(2, len(node.inputs)), grads)
    with op.subgraph("recording", steps.inputs) as recording:
        recording.outputs = [*steps.forward(), steps.inputs[0]]
    *records, numbers = _emit(op, "Loop", node.inputs, len(recording.outputs) - 1, body=recording)[steps.states :]

    count = op.Squeeze(op.Shape(numbers), [0])
    starts = steps.starts()
    step, going, *carried = (op.parameter("carried", t) for t in (STEP, CONDITION, *starts))
    with op.subgraph("reverse", [step, going, *carried]) as reverse:
        at = op.Sub(op.Sub(count, np.array(1)), step)
        values = [at, op.constant(np.array(True)), *(op.Gather(record, at) for record in records)]
        slices = [None if grad is None else op.Gather(grad, at) for grad in steps.stacked_grads]
        reverse.outputs = [going, *steps.backward(values, carried, slices)]
    finals = _emit(op, "Loop", [count, None, *starts], len(carried), body=reverse)
    return steps.gradients(finals)


class ScanSlot(NamedTuple):
    """What a Scan reads or writes step by step: along an axis, forwards (0) or backwards (1)."""

    tensor: Tensor
    axis: int = 0
    direction: int = 0

    def reversed(self) -> ScanSlot:
        """The slot in the opposite direction."""
        return self._replace(direction=1 - self.direction)

    def element(self) -> Tensor:
        """A tensor of the type of one step."""
        shape = self.tensor.shape
        if shape is not None:
            shape = [size for axis, size in enumerate(shape) if axis != self.axis % len(shape)]
        return gs.Variable("element", self.tensor.dtype, shape)


@gradient_of("Scan")
def scan(op: Emitter, node: Node, *grads: Tensor | None) -> list[Gradient]:
    """A Scan in the opposite directions over the recorded states, the scan inputs and the gradients of its outputs."""
    first = len(node.inputs) - node.attrs["num_scan_inputs"]
    initial = node.inputs[:first]
    slots = _slots(node, "input", node.inputs[first:])
    steps = LoopBody(op, node, [*initial, *(slot.element() for slot in slots)], range(first), grads)
    with op.subgraph("recording", steps.inputs) as recording:
        recording.outputs = steps.forward()
    records = _scan(op, initial, slots, [ScanSlot(None)] * len(steps.read), recording)[first:]

    flowing = _slots(node, "output", steps.stacked_grads)
    read = [ScanSlot(record) for record in records] + slots + [slot for slot in flowing if slot.tensor is not None]
    written = [slots[position - first] for position in steps.elements]
    starts = steps.starts()
    carried = [op.parameter("carried", tensor) for tensor in starts]
    values = [op.parameter("element", slot.element()) for slot in read]
    recorded, rest = values[: len(records)], values[len(records) :]
    elements, slices = rest[: len(slots)], iter(rest[len(slots) :])
    with op.subgraph("reverse", [*carried, *values]) as reverse:
        each = [None if slot.tensor is None else next(slices) for slot in flowing]
        reverse.outputs = steps.backward([*elements, *recorded], carried, each)
    read, written = ([slot.reversed() for slot in each] for each in (read, written))
    return steps.gradients(_scan(op, starts, read, written, reverse))


def _slots(node: Node, kind: str, tensors: Sequence[Tensor | None]) -> list[ScanSlot]:
    """The scan inputs or outputs of a Scan."""
    given = (node.attrs.get(f"scan_{kind}_{what}") or [0] * len(tensors) for what in ("axes", "directions"))
    return [ScanSlot(*slot) for slot in zip(tensors, *given, strict=True)]


def _scan(
    op: Emitter, states: Sequence[Tensor], read: list[ScanSlot], written: list[ScanSlot], body: gs.Graph
) -> list[Tensor]:
    return _emit(
        op,
        "Scan",
        [*states, *(slot.tensor for slot in read)],
        len(states) + len(written),
        body=body,
        num_scan_inputs=len(read),
        scan_input_axes=[slot.axis for slot in read],
        scan_input_directions=[slot.direction for slot in read],
        scan_output_axes=[slot.axis for slot in written],
        scan_output_directions=[slot.direction for slot in written],
    )


def _emit(op: Emitter, op_type: str, inputs: Sequence[Any], outputs: int, **attributes: Any) -> list[Tensor]:
    """A node of any number of outputs; none where there are none to compute."""
    if not outputs:
        return []
    results = op.emit(op_type, *inputs, outputs=outputs, **attributes)
    return [results] if outputs == 1 else list(results)
