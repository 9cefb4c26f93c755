"""K classes of one image in one run: each sample is repeated K times, as late in the network as possible.

Everything before the repeat runs once per image; everything after it is the ordinary graph at batch N*K.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from .backward import reach, tensors_between
from .emit import Emitter
from .model_file import Model
from .node import replace_input, used_tensors
from .tensors import Tensor

# The symbol of the size N*K in the file.
ROWS = "batch*targets"


@dataclass(frozen=True)
class Repeat:
    """Where samples are repeated: before node `position`, on these tensors (one, or the graph inputs).

    `batch` is the symbol of the batch size there.
    """

    position: int
    tensors: list[Tensor]
    batch: str


class Rows:
    """The rows of the explained part: one per sample, or K per sample where it is repeated.

    Args:
        op: appends the nodes.
        layers: names of the tensors that are explained.
        score: name of the tensor that holds the class scores.
    """

    def __init__(self, op: Emitter, layers: Sequence[str], score: str) -> None:
        self._op, self._score = op, score
        self.repeat = find_repeat(op.model, layers, score)
        self._repeated: dict[str, Tensor] = {}

    def apply(self, target: Tensor) -> None:
        """Repeats each sample as many times as `target`, int64 [N, K], has columns."""
        self.target = target
        if self.repeat is not None:
            self._repeated = apply_repeat(self._op, self.repeat, self._score, target)

    def of(self, tensor: Tensor) -> Tensor:
        """The tensor with its samples repeated, where they are."""
        return self._repeated.get(tensor.name, tensor)

    def repeats(self, tensor: Tensor) -> bool:
        """Whether the model's own tensor holds repeated samples, so that only `once` gives each one time."""
        return self.repeat is not None and tensor.name not in self._repeated

    def once(self, tensor: Tensor) -> Tensor:
        """Each sample's first row of a tensor that holds repeated ones."""
        return tensor if self.repeat is None else first_rows(self._op, tensor, self.target)


def find_repeat(model: Model, layers: Sequence[str], score: str) -> Repeat | None:
    """The latest place, at or before the layers, that every path from the inputs to the score passes through.

    Such a place is one tensor on which everything after it depends alone, so shapes computed there stay consistent; the
    inputs themselves are the place of last resort. Returns None where the batch size is fixed, or where an output after
    the place does not have the batch as its first axis: then K is 1.
    """
    path = _data_path(model, score)
    inputs = [tensor for tensor in model.inputs if tensor.name in path]
    batches = {tensor.shape[0] if tensor.shape else None for tensor in inputs}
    batch = batches.pop() if len(batches) == 1 else None
    if not isinstance(batch, str):
        return None
    place = Repeat(0, inputs, batch)
    live = {tensor.name for tensor in inputs}
    last_use = {t.name: i for i, n in enumerate(model.graph.nodes) if _is_on(n, path) for t in used_tensors(n)}
    beyond_inputs = bool(layers) and not live & set(layers)
    for index, node in enumerate(model.graph.nodes if beyond_inputs else []):
        live |= {tensor.name for tensor in node.outputs} & path
        live = {name for name in live if last_use.get(name, -1) > index}
        for tensor in node.outputs:
            if live == {tensor.name} and tensor.shape and tensor.shape[0] == batch:
                place = Repeat(index + 1, [tensor], batch)
        if any(tensor.name in layers for tensor in node.outputs):
            break
    after = _descendants(model, place.tensors, path)
    outputs = [tensor for tensor in model.graph.outputs if tensor.name in after]
    return place if all(tensor.shape and tensor.shape[0] == batch for tensor in outputs) else None


def apply_repeat(op: Emitter, repeat: Repeat, score: str, target: Tensor) -> dict[str, Tensor]:
    """Repeats each sample K times at the place; original outputs after it keep each sample's first row.

    Args:
        op: appends the nodes.
        repeat: the place.
        score: name of the tensor that the repeated rows lead to.
        target: int64 [N, K].

    Returns:
        The repeated tensors, by the name of the tensor they repeat.
    """
    path = _data_path(op.model, score)
    after = _descendants(op.model, repeat.tensors, path)
    repeated: dict[str, Tensor] = {}
    with op.inserting_at(repeat.position), op.scope("repeat"):
        targets = op.size(target, 1)
        for tensor in repeat.tensors:
            # Counted from the samples, not from `target`: too few rows there must not drop any sample.
            count = op.Squeeze(op.Mul(op.size(tensor, 0), targets))
            rows = op.Range(np.array(0), count, np.array(1))
            consumers = _consumers(op.model, tensor, path)
            repeated[tensor.name] = result = op.Gather(tensor, op.Div(rows, targets), axis=0)
            result.shape = [ROWS, *tensor.shape[1:]]
            for node in consumers:
                replace_input(node, tensor, result)
    unchanged = {size for tensor in op.model.inputs for size in tensor.shape or ()} - {repeat.batch}
    for tensor in op.model.graph.tensors().values():
        if tensor.name in after and tensor.shape:
            tensor.shape = [_symbol(size, repeat.batch, unchanged) for size in tensor.shape]
    with op.scope("repeat"):
        for index, tensor in enumerate(op.model.graph.outputs):
            if tensor.name in after:
                name, tensor.name = tensor.name, op.unique(tensor.name)
                first = first_rows(op, tensor, target)
                first.name, first.shape = name, [repeat.batch, *tensor.shape[1:]]
                op.model.graph.outputs[index] = first
    return repeated


def _symbol(size: int | str | None, batch: str, unchanged: set[int | str | None]) -> int | str | None:
    """The size's symbol after the repeat: "heads*N" counts more rows there, and runtimes want one value a symbol."""
    if not isinstance(size, str) or size in unchanged:
        return size
    return ROWS if size == batch else f"{size}*targets"


def first_rows(op: Emitter, tensor: Tensor, target: Tensor) -> Tensor:
    """Each sample's first of its K rows: [N*K, ...] to [N, ...]; `target` is [N, K]."""
    starts = op.Range(np.array(0), op.Squeeze(op.size(tensor, 0)), op.Squeeze(op.size(target, 1)))
    return op.Gather(tensor, starts, axis=0)


def _data_path(model: Model, score: str) -> set[str]:
    """Names of the tensors, of any dtype, that depend on the inputs and that the score depends on."""
    return tensors_between(model.graph.nodes, [tensor.name for tensor in model.inputs], [score], floats_only=False)


def _descendants(model: Model, tensors: Sequence[Tensor], path: set[str]) -> set[str]:
    """Names of the tensors that will hold repeated rows: on the path after `tensors`, and whatever hangs on those."""
    starts = {tensor.name for tensor in tensors}
    direct = {t.name for tensor in tensors for node in _consumers(model, tensor, path) for t in node.outputs}
    return reach(model.graph.nodes, direct) - starts


def _consumers(model: Model, tensor: Tensor, path: set[str]) -> list[gs.Node]:
    """The nodes on the path that read the tensor, themselves or in a subgraph."""
    return [node for node in model.graph.nodes if _is_on(node, path) and any(t is tensor for t in used_tensors(node))]


def _is_on(node: gs.Node, path: set[str]) -> bool:
    return any(tensor.name in path for tensor in node.outputs)
