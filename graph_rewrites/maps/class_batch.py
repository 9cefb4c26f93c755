"""K classes of one image in one run: each sample is repeated K times, as late in the network as possible.

Everything before the repeat runs once per image; everything after it is the ordinary graph at batch N*K. Scores alone
need no repeat: one row has those of all classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from ..build.emitter import Emitter
from ..graph.node import replace_input, subgraphs, used_tensors
from ..graph.reachability import needed_nodes, tensors_between
from ..graph.tensors import Tensor
from ..model.model import Model
from ..targets.samples import SampleAxes, sample_axes

# The symbol of the size N*K in the file.
ROWS = "batch*targets"


@dataclass(frozen=True)
class ClassBatch:
    """Where samples are repeated for each class.

    Attributes:
        nodes: the model's nodes in the order that this takes, what the layer depends on first.
        position: the repeat comes before the node of this index,
        tensors: on these tensors.
        batch: the symbol of the batch size there.
    """

    nodes: tuple[gs.Node, ...]
    position: int
    tensors: tuple[Tensor, ...]
    batch: str


@dataclass(frozen=True)
class Samples:
    """The rows of the explained part: one per sample, or K per sample where samples are repeated.

    Attributes:
        repeats_by: int64 [N, K], whose columns each sample is repeated for; None where none is.
        repeated: the tensors with repeated samples, by the name of the tensor that they repeat.
    """

    repeats_by: Tensor | None
    repeated: Mapping[str, Tensor]

    def classes(self, op: Emitter, target: Tensor) -> Tensor:
        """The classes of each row, of `target` [N, K]: [N*K, 1] where samples are repeated, else [N, K]."""
        if self.repeats_by is None:
            return target
        result = op.Reshape(target, [-1, 1])
        result.shape = [ROWS, 1]
        return result

    def of(self, tensor: Tensor) -> Tensor:
        """The tensor with its samples repeated, where they are."""
        return self.repeated.get(tensor.name, tensor)

    def repeats(self, tensor: Tensor) -> bool:
        """Whether the model's own tensor holds repeated samples, so that only `once` gives each one time."""
        return self.repeats_by is not None and tensor.name not in self.repeated

    def once(self, op: Emitter, tensor: Tensor) -> Tensor:
        """The first row of each sample, of a tensor that holds repeated ones."""
        return tensor if self.repeats_by is None else first_rows(op, tensor, self.repeats_by)


def find_class_batch(model: Model, layers: Sequence[str], score: str) -> ClassBatch | None:
    """The latest place, at or before the layers, where all that is still used has the samples as its first axis.

    That is one tensor in a plain network; beside it a skip connection, or inputs that join later, such as a question.
    What is computed of shapes has no such axis: a place where it is in use would leave it counting too few samples. The
    inputs themselves are the place of last resort. Returns None where the batch size is fixed, or where an output after
    the place does not have the batch as its first axis: then K is 1.
    """
    samples = sample_axes(model)
    path = _data_path(model, score, samples)
    inputs = [tensor for tensor in model.inputs if tensor.name in path and samples.has_rows(tensor)]
    batches = {tensor.shape[0] if tensor.shape else None for tensor in inputs}
    batch = batches.pop() if len(batches) == 1 else None
    if not isinstance(batch, str):
        return None
    live = {tensor.name: tensor for tensor in inputs}
    beyond_inputs = bool(layers) and live.keys().isdisjoint(layers)
    nodes = _trunk_first(model, layers) if beyond_inputs else tuple(model.graph.nodes)
    place = ClassBatch(nodes, 0, tuple(inputs), batch)
    last_use = {t.name: i for i, n in enumerate(nodes) if _is_on(n, path) for t in used_tensors(n)}
    for index, node in enumerate(nodes if beyond_inputs else ()):
        live |= {tensor.name: tensor for tensor in node.outputs if tensor.name in path}
        live = {name: tensor for name, tensor in live.items() if last_use.get(name, -1) > index}
        if all(tensor.shape and tensor.shape[0] == batch and samples.are_rows(tensor) for tensor in live.values()):
            place = ClassBatch(nodes, index + 1, tuple(live.values()), batch)
        if any(tensor.name in layers for tensor in node.outputs):
            break
    after = _outputs(_repeated_nodes(place, path))
    outputs = [tensor for tensor in model.graph.outputs if tensor.name in after]
    rows = (tensor.shape and tensor.shape[0] == batch and samples.are_rows(tensor) for tensor in outputs)
    return place if all(rows) else None


def _trunk_first(model: Model, layers: Sequence[str]) -> tuple[gs.Node, ...]:
    """The nodes, what the earliest layer depends on before all else, so that a question is read after the place."""
    trunk = min((needed_nodes(model.graph.nodes, [layer]) for layer in layers), key=len)
    inside = {id(node) for node in trunk}
    return (*trunk, *(node for node in model.graph.nodes if id(node) not in inside))


def repeat_samples(op: Emitter, place: ClassBatch | None, score: str, by: Tensor) -> Samples:
    """Repeats each sample for the columns of `by`; original outputs after the place keep each sample's first row.

    Args:
        op: appends the nodes.
        place: where; None: nowhere.
        score: name of the tensor that the repeated rows lead to.
        by: int64 [N, K].
    """
    if place is None:
        return Samples(None, {})
    op.model.graph.nodes[:] = place.nodes
    nodes = _repeated_nodes(place, _data_path(op.model, score, sample_axes(op.model)))
    after = _outputs(nodes)
    repeated: dict[str, Tensor] = {}
    with op.inserting_at(place.position), op.scope("repeat"):
        targets = op.size(by, 1)
        # Counted from the samples, not from `by`: too few rows there must not drop any sample.
        count = op.Squeeze(op.Mul(op.size(place.tensors[0], 0), targets))
        sample = op.Div(op.Range(np.array(0), count, np.array(1)), targets)
        for tensor in place.tensors:
            repeated[tensor.name] = result = op.Gather(tensor, sample, axis=0)
            result.shape = [ROWS, *tensor.shape[1:]]
            for node in nodes:
                replace_input(node, tensor, result)
    unchanged = {size for tensor in op.model.inputs for size in tensor.shape or ()} - {place.batch}
    outer = [tensor for tensor in op.model.graph.tensors().values() if tensor.name in after]
    for tensor in (*outer, *(tensor for node in nodes for tensor in _inner_tensors(node))):
        if tensor.shape:
            tensor.shape = [_symbol(size, place.batch, unchanged) for size in tensor.shape]
    with op.scope("repeat"):
        for index, tensor in enumerate(op.model.graph.outputs):
            if tensor.name in after:
                name, tensor.name = tensor.name, op.unique(tensor.name)
                first = first_rows(op, tensor, by)
                first.name, first.shape = name, [place.batch, *tensor.shape[1:]]
                op.model.graph.outputs[index] = first
    return Samples(by, repeated)


def _symbol(size: int | str | None, batch: str, unchanged: set[int | str | None]) -> int | str | None:
    """The size's symbol after the repeat: "heads*N" counts more rows there, and runtimes want one value a symbol."""
    if not isinstance(size, str) or size in unchanged:
        return size
    return ROWS if size == batch else f"{size}*targets"


def first_rows(op: Emitter, tensor: Tensor, target: Tensor) -> Tensor:
    """Each sample's first of its K rows: [N*K, ...] to [N, ...]; `target` is [N, K]."""
    starts = op.Range(np.array(0), op.Squeeze(op.size(tensor, 0)), op.Squeeze(op.size(target, 1)))
    return op.Gather(tensor, starts, axis=0)


def _data_path(model: Model, score: str, samples: SampleAxes) -> set[str]:
    """Names of the tensors, of any dtype, that depend on inputs with rows and that the score depends on."""
    inputs = [tensor.name for tensor in model.inputs if samples.has_rows(tensor)]
    return tensors_between(model.graph.nodes, inputs, [score], floats_only=False)


def _repeated_nodes(place: ClassBatch, path: set[str]) -> list[gs.Node]:
    """The nodes that will compute repeated rows: on the path after the place, and whatever hangs on those."""
    starts, found, reached = {tensor.name for tensor in place.tensors}, [], set[str]()
    for node in place.nodes[place.position :]:
        read = {tensor.name for tensor in used_tensors(node)}
        if read & reached or (read & starts and _is_on(node, path)):
            found.append(node)
            reached.update(tensor.name for tensor in node.outputs if tensor.name)
    return found


def _inner_tensors(node: gs.Node) -> Iterator[Tensor]:
    """What the bodies of a node make and are handed."""
    for graph in subgraphs(node):
        yield from graph.inputs
        for inner in graph.nodes:
            yield from inner.outputs
            yield from _inner_tensors(inner)


def _outputs(nodes: Sequence[gs.Node]) -> set[str]:
    return {tensor.name for node in nodes for tensor in node.outputs}


def _is_on(node: gs.Node, path: set[str]) -> bool:
    return any(tensor.name in path for tensor in node.outputs)
