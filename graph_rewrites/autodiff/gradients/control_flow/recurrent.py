"""RNN, GRU and LSTM as a Scan over time of their equations (operator specification), one for each direction.

What does not wait for the previous step, the products of the inputs with W, stands before the Scan as one MatMul. Past
a sample's length the states stay as they are, so that a reverse direction starts at the sample's own end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import onnx

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, dtype_of
from ...decompose import decomposition_of
from ...lib.recurrent_activations import Activation, activations
from ...reverse import Node

# The gates whose products with R are one MatMul each: of GRU, the reset gate stands between z, r and h.
PRODUCTS = {"RNN": [1], "GRU": [2, 1], "LSTM": [4]}


@dataclass(frozen=True)
class Cell:
    """One direction of a recurrent operator.

    Attributes:
        recurrence: R^T [H, gates*H] and Rb [gates*H] or None, for each of its `PRODUCTS`.
        peepholes: P of the gates i, o, f, [H] each; None where there are none.
        functions: the activations f, g, h as far as the operator has them.
    """

    op: Emitter
    attrs: dict[str, Any]
    hidden: int
    recurrence: Sequence[tuple[Tensor, Tensor | None]]
    peepholes: Sequence[Tensor | None]
    functions: Sequence[Activation]

    def recur(self, h: Tensor, index: int) -> Tensor:
        """H*R^T + Rb: [N, gates*H]."""
        weight, bias = self.recurrence[index]
        product = self.op.MatMul(h, weight)
        return product if bias is None else self.op.Add(product, bias)

    def split(self, tensor: Tensor, *gates: int, axis: int = -1) -> Sequence[Tensor]:
        """The parts of so many gates each along an axis."""
        sizes = [count * self.hidden for count in gates]
        parts: Sequence[Tensor] = self.op.Split(tensor, sizes, axis=axis, outputs=len(gates))
        return parts


def rnn(cell: Cell, u: Tensor, h: Tensor) -> list[Tensor]:
    """H' = f(u + H*R^T + Rb), u = X*W^T + Wb."""
    (f,) = cell.functions
    return [f(cell.op, cell.op.Add(u, cell.recur(h, 0)))]


def gru(cell: Cell, u: Tensor, h: Tensor) -> list[Tensor]:
    """z, r = f(...), n = g(...), H' = (1 - z)*n + z*H; the reset gate r scales H, or its product with R."""
    op, (f, g) = cell.op, cell.functions
    gates, candidate = cell.split(u, 2, 1)
    z, r = cell.split(f(op, op.Add(gates, cell.recur(h, 0))), 1, 1)
    reset = op.Mul(r, cell.recur(h, 1)) if cell.attrs["linear_before_reset"] else cell.recur(op.Mul(r, h), 1)
    n = g(op, op.Add(candidate, reset))
    return [op.Add(op.Mul(op.Sub(1.0, z), n), op.Mul(z, h))]


def lstm(cell: Cell, u: Tensor, h: Tensor, c: Tensor) -> list[Tensor]:
    """i, o, f = f(...), C' = f*C + i*g(...), H' = o*h(C'); peepholes add P*C (for o: P*C') to the gates."""
    op, (squash, g, final) = cell.op, cell.functions
    i, o, f, n = cell.split(op.Add(u, cell.recur(h, 0)), 1, 1, 1, 1)
    pi, po, pf = cell.peepholes

    def peep(gate: Tensor, weights: Tensor | None, state: Tensor) -> Tensor:
        return squash(op, gate if weights is None else op.Add(gate, op.Mul(weights, state)))

    i = peep(i, pi, c)
    f = op.Sub(1.0, i) if cell.attrs["input_forget"] else peep(f, pf, c)
    new = op.Add(op.Mul(f, c), op.Mul(i, g(op, n)))
    return [op.Mul(peep(o, po, new), final(op, new)), new]


Step: TypeAlias = Callable[..., list[Tensor]]
STEPS: dict[str, Step] = {"RNN": rnn, "GRU": gru, "LSTM": lstm}


@decomposition_of("RNN", "GRU", "LSTM")
def recurrent(op: Emitter, node: Node) -> list[Tensor]:
    """A Scan of the cell's equations over time for each direction.

    Y [T, D, N, H], Y_h [D, N, H] and for LSTM Y_c; under layout 1 the batch comes first.
    """
    x, w, r, b, lengths, *initial = (node.inputs + [None] * 8)[:8]
    *starts, peepholes = initial if node.op_type == "LSTM" else [initial[0], None]
    batch_first = bool(node.attrs.get("layout"))
    if batch_first:
        x = op.Transpose(x, perm=[1, 0, 2])
        starts = [None if start is None else op.Transpose(start, perm=[1, 0, 2]) for start in starts]
    hidden = node.attrs.get("hidden_size") or r.shape[2]
    backwards = {"forward": [0], "reverse": [1], "bidirectional": [0, 1]}[node.attrs["direction"]]
    functions = activations(node, len(backwards))
    live = None if lengths is None else _live(op, x, lengths)

    results = []
    for index, reverse in enumerate(backwards):
        own = [_direction(op, tensor, index, len(backwards)) for tensor in (w, r, b, peepholes, *starts)]
        states = [_zeros(op, x, hidden) if start is None else start for start in own[4:]]
        cell, u = _cell(op, node, x, own, hidden, functions[index])
        results.append(_over_time(cell, STEPS[node.op_type], u, live, states, reverse))

    *finals, sequence = zip(*results, strict=True)
    y = op.Concat(*(op.Unsqueeze(part, [1]) for part in sequence), axis=1)
    last = [op.Concat(*(op.Unsqueeze(part, [0]) for part in parts), axis=0) for parts in finals]
    if batch_first:
        y, last = op.Transpose(y, perm=[2, 0, 1, 3]), [op.Transpose(part, perm=[1, 0, 2]) for part in last]
    return [y, *last][: len(node.outputs)]


def _direction(op: Emitter, tensor: Tensor | None, index: int, directions: int) -> Tensor | None:
    """One direction's part of a tensor, along its first axis."""
    if tensor is None or directions == 1:
        return None if tensor is None else op.Squeeze(tensor, [0])
    return op.Gather(tensor, np.array(index), axis=0)


def _cell(
    op: Emitter, node: Node, x: Tensor, weights: Sequence[Tensor | None], hidden: int, functions: Sequence[Activation]
) -> tuple[Cell, Tensor]:
    """The cell, and what does not wait for a step: X*W^T + Wb [T, N, gates*H]."""
    w, r, b, p = weights[:4]
    products = PRODUCTS[node.op_type]
    cell = Cell(op, node.attrs, hidden, [], [None] * 3, functions)
    u, transposed = op.MatMul(x, op.Transpose(w, perm=[1, 0])), op.Transpose(r, perm=[1, 0])
    parts = cell.split(transposed, *products) if len(products) > 1 else [transposed]
    biases: list[Tensor | None] = [None] * len(products)
    if b is not None:
        before, *biases = cell.split(b, sum(products), *products)
        u = op.Add(u, before)
    peepholes = [None] * 3 if p is None else cell.split(p, 1, 1, 1)
    return replace(cell, recurrence=list(zip(parts, biases, strict=True)), peepholes=peepholes), u


def _over_time(
    cell: Cell, step: Step, u: Tensor, live: Tensor | None, states: Sequence[Tensor], reverse: int
) -> list[Tensor]:
    """The final states, and H at every time [T, N, H] (0 past a sample's length)."""
    op, read = cell.op, [u] if live is None else [u, live]
    own = [op.parameter("state", state) for state in states]
    elements = [op.parameter("element", tensor) for tensor in read]
    for element in elements:
        element.shape = None if element.shape is None else element.shape[1:]
    with op.subgraph("step", [*own, *elements]) as body:
        new = step(cell, elements[0], *own)
        new = [op.declare(state, before) for state, before in zip(new, own, strict=True)]
        h = new[0]
        if live is not None:
            new = [op.Where(elements[1], state, before) for state, before in zip(new, own, strict=True)]
            h = op.Mul(h, op.cast_like(elements[1], h))
        body.outputs = [*new, h]
    directions = {"scan_input_directions": [reverse] * len(read), "scan_output_directions": [reverse]}
    scanned = op.Scan(*states, *read, outputs=len(states) + 1, body=body, num_scan_inputs=len(read), **directions)
    return list(scanned)


def _live(op: Emitter, x: Tensor, lengths: Tensor) -> Tensor:
    """Which times are within the samples' lengths: bool [T, N, 1]."""
    times = op.arange(op.size(x, 0))
    return op.Less(op.Unsqueeze(times, [1, 2]), op.Unsqueeze(op.Cast(lengths, to=onnx.TensorProto.INT64), [0, 2]))


def _zeros(op: Emitter, x: Tensor, hidden: int) -> Tensor:
    """A state to start from: [N, H]."""
    zero = np.zeros((), onnx.helper.tensor_dtype_to_np_dtype(dtype_of(x)))
    state = op.Expand(zero, op.join(op.size(x, 1), [hidden]))
    state.shape = [x.shape[1] if x.shape else None, hidden]
    return state
