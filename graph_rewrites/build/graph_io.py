"""New graph inputs and outputs under the names of the contract, and the removal of what no output needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_graphsurgeon as gs

from ..graph.node import used_tensors
from ..graph.tensors import Tensor
from ..model.model import Model
from .emitter import Emitter


class Publisher:
    """Adds inputs and outputs to the graph under the names of the contract.

    A name that the model itself uses gets the prefix `onnxplain_`; `names` maps the logical names to the actual ones.
    """

    def __init__(self, op: Emitter) -> None:
        self.op = op
        self.names: dict[str, str] = {}

    def input(self, name: str, dtype: Any, shape: Sequence[int | str | None] | None) -> Tensor:
        """A new graph input."""
        tensor = self.op.input(name, dtype, shape)
        self.names[name] = tensor.name
        return tensor

    def output(self, name: str, tensor: Tensor, shape: Sequence[int | str | None] | None) -> None:
        """Makes `tensor` a graph output; `shape` states its sizes, None that not even their number is known."""
        result = self.op.Identity(tensor)
        result.name, result.shape = self._claim(name), None if shape is None else list(shape)
        self.op.model.graph.outputs.append(result)

    def per_target(self, name: str, rows: Tensor, target: Tensor, shape: Sequence[int | str | None]) -> None:
        """Makes `rows` [N*K, ..., *shape] a graph output [N, K, *shape]; what `shape` leaves out has size 1."""
        rank = len(rows.shape)
        sizes = self.op.join(self.op.shape(target), self.op.sizes(rows, range(rank - len(shape), rank)))
        self.output(name, self.op.Reshape(rows, sizes), [*target.shape, *shape])

    def _claim(self, name: str) -> str:
        self.names[name] = self.op.claim(name)
        return self.names[name]


def prune(model: Model, keep: Sequence[gs.Node]) -> None:
    """Removes the nodes, other than `keep`, that no output needs."""
    kept = {id(node) for node in keep}
    needed = {tensor.name for tensor in model.graph.outputs}
    nodes = []
    for node in reversed(model.graph.nodes):
        if id(node) in kept or any(tensor.name in needed for tensor in node.outputs):
            needed.update(tensor.name for tensor in used_tensors(node))
            nodes.append(node)
    model.graph.nodes = nodes[::-1]
