"""The body of a Loop or Scan, one step at a time: forwards, recording its states, and backwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_graphsurgeon as gs

from ...build.emitter import Emitter
from ...errors import OnnxplainError
from ...graph.node import used_tensors
from ...graph.reachability import needed_nodes, reach
from ...graph.tensors import Tensor, dtype_of, is_float, is_sequence, kind_of
from ...model.subgraph_protos import merged
from ..cotangents import add, zeros_like
from ..decompose import replay
from ..precision import promoted
from ..reverse import Gradient, Node, sweep
from .poles import has_pole


class LoopBody:
    """One step of a Loop or Scan, and how gradients flow through it.

    Args:
        op: appends nodes.
        node: the Loop or Scan.
        likes: tensors of the types of the body's inputs.
        states: which of the inputs, of the body and of the node alike, are carried from step to step.
        grads: the gradients of the node's outputs.

    Attributes:
        inputs: the body's inputs, in a copy that knows its tensors' types.
        states: how many states there are.
        read: the states that the body's nodes read: they are to be recorded.
        carried: the states and captured tensors that a gradient is carried for.
        elements: positions of the further inputs that have a gradient in each step.
        stacked_grads: the gradients of the outputs that are stacked over the steps.
    """

    def __init__(
        self, op: Emitter, node: Node, likes: Sequence[Tensor], states: range, grads: Sequence[Tensor | None]
    ) -> None:
        self._op, self._node, self._positions = op, node, states
        self._body = _typed(op, node, likes, states)
        self.inputs, self.states = list(self._body.inputs), len(states)
        self._lead = _outputs_before_states(node)
        self._next = self._body.outputs[self._lead : self._lead + len(states)]
        used = {tensor.name for inner in self._body.nodes for tensor in used_tensors(inner)}
        self.read = [self.inputs[i] for i in states if self.inputs[i].name in used and not is_sequence(self.inputs[i])]
        self._refuse_read_sequences()
        active = self._active()
        self.elements = [i for i, t in enumerate(self.inputs) if i not in states and t.name in active]
        padded = [*grads, *[None] * (len(self._body.outputs) - self._lead - len(grads))]
        self._final_grads, self.stacked_grads = padded[: len(states)], padded[len(states) :]
        # A sequence that no step reads has a gradient only from behind the last step.
        idle = [i for i, g in zip(states, self._final_grads, strict=True) if g is None and is_sequence(self.inputs[i])]
        self._flowing = [i for i in states if self.inputs[i].name in active and i not in idle]
        self._captured = [tensor for tensor in node.captured if tensor.name in node.path]
        self.carried = [*(self.inputs[i] for i in self._flowing), *self._captured]

    def forward(self) -> list[Tensor]:
        """Emits the step; its outputs up to the states, and the states that are read, to be stacked."""
        known = replay(self._op, self._body.nodes, {})
        return [*(known.get(t.name, t) for t in self._body.outputs[: self._lead + self.states]), *self.read]

    def backward(
        self, values: Sequence[Tensor], carried: Sequence[Tensor], stacked: Sequence[Tensor | None]
    ) -> list[Tensor]:
        """Emits the step and its reverse sweep.

        Args:
            values: the inputs that are no states, then the recorded states.
            carried: the gradients carried so far.
            stacked: this step's gradients of the outputs that are stacked.

        Returns:
            The gradients to carry on, and those of `elements`.
        """
        names = [t.name for i, t in enumerate(self.inputs) if i not in self._positions] + [t.name for t in self.read]
        grads = dict(zip(self._flowing, carried, strict=False))
        sums = carried[len(self._flowing) :]
        cotangents = [*[None] * self._lead, *(grads.get(i) for i in self._positions), *stacked]
        wanted = [*self.carried, *(self.inputs[i] for i in self.elements)]
        known = dict(zip(names, values, strict=True))
        for sequence in (self.inputs[i] for i in self._positions if is_sequence(self.inputs[i])):
            known[sequence.name] = self._op.SequenceEmpty(dtype=dtype_of(sequence))  # what it holds plays no part
        results = subgraph_vjp(self._op, self._node, self._body, known, cotangents, wanted)
        for index, total in enumerate(sums, len(self._flowing)):
            results[index] = add(self._op, total, results[index])
        return results

    def starts(self) -> list[Tensor]:
        """What the gradients that are carried start from: those of the final states, and no sum yet."""
        finals = [self._final_grads[i - self._positions.start] for i in self._flowing]
        likes = [self._node.inputs[i] for i in self._flowing]
        starts = [_no_gradient(self._op, t) if g is None else g for g, t in zip(finals, likes, strict=True)]
        return [*starts, *(_no_gradient(self._op, tensor) for tensor in self._captured)]

    def gradients(self, results: Sequence[Tensor]) -> list[Gradient]:
        """The gradients of the node's inputs and captured tensors, from what was carried and stacked last."""
        captured = [len(self._node.inputs) + self._node.captured.index(tensor) for tensor in self._captured]
        by_position = dict(zip([*self._flowing, *captured, *self.elements], results, strict=True))
        return [by_position.get(i) for i in range(len(self._node.inputs) + len(self._node.captured))]

    def _refuse_read_sequences(self) -> None:
        """A sequence may grow from step to step, at its end; steps whose values read it would have to record it."""
        growing = {self.inputs[i].name for i in self._positions if is_sequence(self.inputs[i])}
        for inner in needed_nodes(self._body.nodes, [t.name for t in self._body.outputs[self._lead :]]):
            if not any(t.name in growing for t in used_tensors(inner)):
                continue
            growing.update(t.name for t in inner.outputs)
            if inner.op != "Identity" and not (inner.op == "SequenceInsert" and len(inner.inputs) == 2):
                raise OnnxplainError(
                    f"operator {self._node.op_type} (node {self._node.name!r}) reads a sequence that it carries from "
                    f"step to step ({inner.op} in its body): no gradient passes through that; choose a layer after it"
                )

    def _active(self) -> set[str]:
        """Names of the body's tensors that depend on a tensor of the path, over any number of steps."""
        active = {t.name for t in self._node.captured} & self._node.path
        pairs = list(enumerate(self._node.inputs))
        active |= {self.inputs[i].name for i, t in pairs if t is not None and t.name in self._node.path}
        while True:
            reached = reach(self._body.nodes, active, floats_only=True)
            states = zip((self.inputs[i] for i in self._positions), self._next, strict=True)
            more = {state.name for state, out in states if out.name in reached and is_float(state)} - active
            if not more:
                return active
            active |= more


def subgraph_vjp(
    op: Emitter,
    node: Node,
    graph: gs.Graph,
    tensors: Mapping[str, Tensor],
    cotangents: Sequence[Tensor | None],
    wanted: Sequence[Tensor],
) -> list[Tensor]:
    """Emits a subgraph's nodes on `tensors`, by the names they stand for, and the gradients of some that it reads.

    `cotangents` are those of the subgraph's outputs; trailing ones may be missing.
    """
    start = len(op.nodes)
    known = replay(op, graph.nodes, dict(tensors))
    nodes = op.nodes[start:]
    flowing: dict[str, Tensor] = {}
    for tensor, grad in zip(graph.outputs, cotangents, strict=False):
        name = known.get(tensor.name, tensor).name
        if grad is not None:
            flowing[name] = add(op, flowing[name], grad) if name in flowing else grad
    own: list[Tensor] = [known.get(tensor.name, tensor) for tensor in wanted]
    outputs = [known.get(tensor.name, tensor) for tensor in graph.outputs]
    if any(grad is not None and _of_other_rank(out, grad) for out, grad in zip(outputs, cotangents, strict=False)):
        return [zeros_like(op, tensor) for tensor in own]  # a branch of an If that is never taken
    unbounded = node.unbounded or has_pole(node.source)  # one of another step may come by
    grads = sweep(op, nodes, flowing, [tensor.name for tensor in own], node.rules, unbounded)
    return [_no_gradient(op, tensor) if grads[tensor.name] is None else grads[tensor.name] for tensor in own]


def _no_gradient(op: Emitter, tensor: Tensor) -> Tensor:
    """Zeros of the type that the tensor's gradient has."""
    return promoted(op, zeros_like(op, tensor))


def _typed(op: Emitter, node: Node, likes: Sequence[Tensor], states: range) -> gs.Graph:
    """A copy of the body that knows its tensors' types; where a state may differ in size between steps, it is open."""
    graph: gs.Graph = node.attrs["body"]
    for tensor in (likes[i] for i in states):
        if not dtype_of(tensor):
            raise OnnxplainError(
                f"operator {node.op_type} (node {node.name!r}) carries {tensor.name!r}, an optional or a value of "
                "unknown type: no gradient passes through that; choose a layer after it"
            )
    types = [gs.Variable(tensor.name, tensor.dtype, tensor.shape, kind_of(tensor)) for tensor in likes]
    while True:
        inputs = [op.parameter(tensor.name, like) for tensor, like in zip(graph.inputs, types, strict=True)]
        with op.subgraph(graph.name, inputs) as body:
            known = dict(zip((tensor.name for tensor in graph.inputs), inputs, strict=True))
            known = replay(op, graph.nodes, known)
            body.outputs = [known.get(tensor.name, tensor) for tensor in graph.outputs]
        stable = True
        for i, out in zip(states, body.outputs[_outputs_before_states(node) :], strict=False):
            before, after = types[i].shape, out.shape
            if before is None or after is None or is_sequence(out):
                continue
            if _differ(before, after):
                raise OnnxplainError(
                    f"operator {node.op_type} (node {node.name!r}) carries {graph.inputs[i].name!r}, whose shape "
                    f"changes from {before} to {after}: no gradient passes through that; choose a layer after it"
                )
            types[i].shape = merged(before, after)
            stable = stable and types[i].shape == list(before)
        if stable:
            return body


def _outputs_before_states(node: Node) -> int:
    """The body of a Loop puts out its condition first."""
    return int(node.op_type == "Loop")


def _of_other_rank(a: Tensor, b: Tensor) -> bool:
    return a.shape is not None and b.shape is not None and len(a.shape) != len(b.shape)


def _differ(a: Sequence[int | str | None], b: Sequence[int | str | None]) -> bool:
    """Whether two shapes surely are not the same."""
    sizes = zip(a, b, strict=False)
    return len(a) != len(b) or any(isinstance(x, int) and isinstance(y, int) and x != y for x, y in sizes)
