"""Appending nodes: `op.Mul(a, b)` adds one Mul node to the graph and returns its output.

Rules are given an `Emitter`, which knows shapes, casts and reductions besides.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import numpy_helper, shape_inference

from ..errors import OnnxplainError
from ..graph.node import subgraphs
from ..graph.reachability import needed_nodes
from ..graph.tensors import (
    Tensor,
    dtype_of,
    gs_dtype,
    is_sequence,
    kind_of,
    schema,
    type_proto,
    value_of,
)
from ..inference.constant_folding import MAX_VALUES
from ..model.model import Model
from ..model.subgraph_protos import CONTROL_FLOW, definitions, node_proto

Operand: TypeAlias = Any  # a Tensor, a numpy array, a number, a list of integers, or None (an omitted optional input)


class NodeBuilder:
    """Appends nodes to `model` and knows the dtype and shape of everything it appended.

    `op.Name(inputs..., attribute=value)` appends a node of operator `Name` and returns its output tensor, or a tuple
    for `outputs=n`. A number becomes a scalar of the first tensor's dtype; a list of integers an int64 vector.
    """

    def __init__(self, model: Model, prefix: str = "onnxplain") -> None:
        self.model = model
        self.nodes: list[gs.Node] = model.graph.nodes
        # The graph inputs that were added: from the names asked for to the actual ones.
        self.inputs: dict[str, str] = {}
        self._scope = prefix
        self._names = {*definitions(model.proto.graph), *(value.name for value in model.proto.graph.output)}
        self._counts: dict[str, int] = {}
        self._constants: dict[tuple[Any, ...], Tensor] = {}
        self._shared: MutableMapping[tuple[Any, ...], Tensor] = {}

    def __getattr__(self, op_type: str) -> Callable[..., Any]:
        if not op_type[:1].isupper():
            raise AttributeError(op_type)
        return lambda *inputs, **attributes: self.emit(op_type, *inputs, **attributes)

    def emit(self, op_type: str, *inputs: Operand, outputs: int = 1, **attributes: Any) -> Any:
        """Appends one node; `attributes` that are None are left out."""
        like = next((x for x in inputs if isinstance(x, gs.Tensor)), None)
        tensors = [self.tensor(x, like) for x in inputs]
        name = self.unique(op_type)
        results = [gs.Variable(self.unique(f"{op_type}_out") if i else name) for i in range(outputs)]
        attributes = {key: value for key, value in attributes.items() if value is not None}
        node = gs.Node(op_type, name, attributes, inputs=tensors, outputs=results)
        self._infer(node)
        self.nodes.append(node)
        return results[0] if outputs == 1 else tuple(results)

    def copy(self, source: gs.Node, inputs: Sequence[Tensor], attributes: dict[str, Any]) -> list[Tensor]:
        """Appends a copy of a node that reads other tensors; returns its outputs, in types as far as they are known."""
        results = [self.parameter(t.name, t) if t.name else gs.Variable.empty() for t in source.outputs]
        known = [(result.dtype, result.shape) for result in results]
        node = gs.Node(source.op, self.unique(source.op), attributes, list(inputs), results, domain=source.domain)
        if schema(node.op, self.model.opset, node.domain or "") is not None:
            for result in results:
                result.dtype = result.shape = None
            self._infer(node)
        for result, (dtype, shape) in zip(results, known, strict=True):
            result.dtype = dtype if result.dtype is None else result.dtype
            result.shape = shape if result.shape is None else result.shape
        self.nodes.append(node)
        return results

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names nodes emitted inside `<outer scope>/<name>/...`."""
        outer, self._scope = self._scope, f"{self._scope}/{name.strip('/')}"
        try:
            yield
        finally:
            self._scope = outer

    @contextmanager
    def inserting_at(self, position: int) -> Iterator[None]:
        """Places nodes emitted inside at `position` of the graph's node list instead of at its end."""
        outer, self.nodes, shared = self.nodes, [], self._shared
        self._shared = {}
        try:
            yield
            outer[position:position] = self.nodes
        finally:
            self.nodes, self._shared = outer, shared

    @contextmanager
    def subgraph(self, name: str, inputs: Sequence[Tensor] = ()) -> Iterator[gs.Graph]:
        """Nodes emitted inside form the graph that is yielded, for an attribute of If, Loop or Scan.

        They may read any tensor of the graphs around; `outputs` of the graph are to be set inside.
        """
        name = name.rsplit("/", 1)[-1]
        graph = gs.Graph(inputs=list(inputs), name=self.unique(name))
        outer, self.nodes, shared = self.nodes, [], self._shared
        self._shared = ChainMap({}, shared)
        try:
            with self.scope(name):
                yield graph
                graph.outputs = self._own(graph.outputs)
            graph.nodes = needed_nodes(self.nodes, [tensor.name for tensor in graph.outputs])
        finally:
            self.nodes, self._shared = outer, shared

    def parameter(self, name: str, like: Tensor) -> Tensor:
        """A new input for a subgraph, of the type of `like`."""
        name = self.unique(name.rsplit("/", 1)[-1])
        tensor = gs.Variable(name, None if like.dtype is None else gs_dtype(dtype_of(like)), like.shape)
        tensor.type = kind_of(like)
        return tensor

    def _own(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """The outputs of the present subgraph, each a tensor of its own that a node inside makes."""
        made = {tensor.name for node in self.nodes for tensor in node.outputs}
        owned: list[Tensor] = []
        for tensor in outputs:
            owned.append(tensor if tensor.name in made else self.emit("Identity", tensor))
            made.discard(tensor.name)
        return owned

    def local(self, name: str) -> str:
        """The name without the present scope, where it has that, so that scopes in scopes do not repeat each other."""
        return name.removeprefix(f"{self._scope}/")

    def unique(self, name: str) -> str:
        """A scoped name that no tensor or node of the graph has."""
        stem = f"{self._scope}/{name}"
        while True:
            count = self._counts[stem] = self._counts.get(stem, -1) + 1
            candidate = f"{stem}_{count}" if count else stem
            if candidate not in self._names:
                self._names.add(candidate)
                return candidate

    def claim(self, name: str) -> str:
        """`name` itself, prefixed with `onnxplain_` if the graph has it already."""
        while name in self._names:
            name = f"onnxplain_{name}"
        self._names.add(name)
        return name

    def input(self, name: str, dtype: Any, shape: Sequence[int | str | None] | None) -> Tensor:
        """A new graph input, under a claimed name."""
        tensor = gs.Variable(self.claim(name), dtype, None if shape is None else list(shape))
        self.model.graph.inputs.append(tensor)
        self.inputs[name] = tensor.name
        return tensor

    def once(self, op_type: str, *inputs: Tensor, **attributes: int) -> Tensor:
        """The output of a node that is appended where there is none like it yet."""
        key = (op_type, *(tensor.name for tensor in inputs), *attributes.items())
        if key not in self._shared:
            self._shared[key] = self.emit(op_type, *inputs, **attributes)
        return self._shared[key]

    def tensor(self, value: Operand, like: Tensor | None = None) -> Tensor:
        """The operand as a graph tensor."""
        if isinstance(value, gs.Tensor):
            return value
        if value is None:
            return gs.Variable.empty()
        if isinstance(value, list | tuple):
            return self.constant(np.array(value, np.int64))
        if isinstance(value, np.ndarray | np.generic):
            return self.constant(np.asarray(value))
        if like is None:
            raise TypeError(f"the number {value!r} needs a tensor beside it to take its dtype from")
        return self.constant(np.array(value, onnx.helper.tensor_dtype_to_np_dtype(dtype_of(like))))

    def constant(self, values: np.ndarray) -> Tensor:
        """A constant tensor; equal constants are shared."""
        key = (str(values.dtype), values.shape, values.tobytes())
        if key not in self._constants:
            self._constants[key] = gs.Constant(
                self.unique("constant"), np.ascontiguousarray(values).reshape(values.shape)
            )
        return self._constants[key]

    def _infer(self, node: gs.Node) -> None:
        """Sets dtype and shape of the node's outputs by the operator's own inference function, or by its subgraphs."""
        if any(subgraphs(node)) and node.op in CONTROL_FLOW:
            for tensor, (dtype, shape, kind) in zip(node.outputs, CONTROL_FLOW[node.op](node), strict=True):
                tensor.dtype, tensor.shape, tensor.type = dtype, shape, kind
            return
        inputs = [tensor for tensor in node.inputs if tensor.name]
        types = {tensor.name: type_proto(tensor) for tensor in inputs}
        values = {tensor.name: value_of(tensor) for tensor in inputs}
        small = {name: value for name, value in values.items() if value is not None and value.size <= MAX_VALUES}
        data = {name: numpy_helper.from_array(value, name) for name, value in small.items()}
        specification = schema(node.op, self.model.opset, node.domain or "")
        if specification is None:
            raise OnnxplainError(f"operator {node.op} does not exist at opset {self.model.opset}; emit another")
        try:
            inferred = shape_inference.infer_node_outputs(
                specification,
                node_proto(node),
                types,
                data,
                opset_imports=[onnx.helper.make_opsetid("", self.model.opset)],
            )
        except Exception as error:
            shapes = ", ".join(f"{t.name} {t.shape}" for t in inputs)
            raise OnnxplainError(f"cannot emit {node.op} at {node.name!r} ({shapes}): {error}") from error
        for tensor in node.outputs:
            if tensor.name in inferred:
                proto = inferred[tensor.name]
                tensor.type = "sequence_type" if proto.HasField("sequence_type") else "tensor_type"
                kind = (proto.sequence_type.elem_type if is_sequence(tensor) else proto).tensor_type
                tensor.dtype = gs_dtype(kind.elem_type)
                if kind.HasField("shape"):
                    tensor.shape = [
                        d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in kind.shape.dim
                    ]
