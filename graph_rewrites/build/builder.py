"""Appending nodes: `op.Mul(a, b)` adds one Mul node to the graph and returns its output."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import numpy_helper, shape_inference

from . import sequences
from ..inference.constant_folding import MAX_VALUES
from ..errors import OnnxplainError
from ..model.model import Model
from ..graph.node import needed_nodes, subgraphs
from ..model.subgraph_protos import CONTROL_FLOW, definitions, node_proto
from ..graph.tensors import (Tensor, dtype_of, gs_dtype, is_sequence, is_static, kind_of, rank, same_shape, schema, type_proto, value_of)

Operand: TypeAlias = Any  # a Tensor, a numpy array, a number, a list of integers, or None (an omitted optional input)


class Emitter:
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

    def _once(self, op_type: str, *inputs: Tensor, **attributes: int) -> Tensor:
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

    def shape(self, tensor: Tensor) -> Tensor:
        """The shape as an int64 vector: a constant where it is static, else a (shared) Shape node."""
        if is_static(tensor):
            return self.constant(np.array(tensor.shape, np.int64))
        return self._once("Shape", tensor)

    def size(self, tensor: Tensor, axis: int) -> Tensor:
        """The size of one axis as an int64 vector of length 1; the rank may be unknown where `axis` is not negative."""
        size = tensor.shape[axis] if tensor.shape is not None else None
        if isinstance(size, int):
            return self.constant(np.array([size], np.int64))
        return self._once(
            "Gather", self.shape(tensor), self.tensor([axis if axis >= 0 else axis % rank(tensor)]), axis=0
        )

    def sizes(self, tensor: Tensor, axes: Sequence[int]) -> Tensor:
        """The sizes of some axes as an int64 vector."""
        known = [tensor.shape[axis] for axis in axes] if tensor.shape is not None else [None]
        if all(isinstance(size, int) for size in known):
            return self.constant(np.array(known, np.int64))
        axes = [axis if axis >= 0 else axis % rank(tensor) for axis in axes]
        return self._once("Gather", self.shape(tensor), self.tensor(axes), axis=0)

    def join(self, *vectors: Operand) -> Tensor:
        """The vectors one after the other: a constant where all of them are known."""
        tensors = [self.tensor(vector) for vector in vectors]
        values = [value for value in map(value_of, tensors) if value is not None]
        if len(values) < len(tensors):
            return self._once("Concat", *tensors, axis=0)
        return self.constant(np.concatenate(values))

    def reshape_like(self, tensor: Tensor, like: Tensor) -> Tensor:
        """`tensor` with the shape of `like`, which it must have room for; a size of 0 is one (no boxes were found)."""
        allowzero = None if is_static(like) and 0 not in like.shape else 1
        return self.declare(self.emit("Reshape", tensor, self.shape(like), allowzero=allowzero), like)

    def expand_like(self, tensor: Operand, like: Tensor) -> Tensor:
        """`tensor` broadcast to the shape of `like`."""
        return self.declare(self.emit("Expand", tensor, self.shape(like)), like)

    def zeros_like(self, tensor: Tensor) -> Tensor:
        """Zeros of the tensor's shape and dtype; of a sequence, a sequence of zeros."""
        if is_sequence(tensor):
            return sequences.zeros_like(self, tensor)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(dtype_of(tensor))
        return self.declare(self.emit("Expand", np.zeros((), dtype), self.shape(tensor)), tensor)

    def sum(self, a: Tensor, b: Tensor) -> Tensor:
        """The sum of two tensors of one shape, or of the elements of two sequences."""
        return sequences.add(self, a, b) if is_sequence(a) else self.declare(self.emit("Add", a, b), a)

    def cast_like(self, tensor: Tensor, like: Tensor) -> Tensor:
        """`tensor` in the dtype of `like`."""
        return tensor if dtype_of(tensor) == dtype_of(like) else self.emit("Cast", tensor, to=dtype_of(like))

    def cast(self, tensor: Tensor, dtype: int) -> Tensor:
        """`tensor` in an ONNX element type: a constant at once, else by a (shared) Cast node."""
        if isinstance(tensor, gs.Constant):
            return self.constant(np.asarray(tensor.values).astype(onnx.helper.tensor_dtype_to_np_dtype(dtype)))
        return self._once("Cast", tensor, to=dtype)

    def is_zero(self, tensor: Tensor) -> Tensor:
        """Whether each element is 0, as bool; from opset 19 on, ONNX Runtime has no `Equal` for CUDA."""
        return self.emit("LessOrEqual", self.emit("Abs", tensor), 0.0)

    def divisor(self, tensor: Tensor) -> Tensor:
        """The tensor with 1 in place of each 0, to divide by."""
        return self.emit("Add", tensor, self.cast_like(self.is_zero(tensor), tensor))

    def reduce(self, op_type: str, tensor: Tensor, axes: Sequence[int], keepdims: bool = True) -> Tensor:
        """ReduceMax, ReduceMean, ...: their axes became an input in opset 18 (ReduceSum's in 13).

        From opset 20 on, ONNX Runtime has no ReduceMax and no ReduceMin for CUDA: the first of each axis in turn.
        """
        if op_type in ("ReduceMax", "ReduceMin") and self.model.opset >= 20:
            for axis in axes:
                tensor, _ = self.emit("TopK", tensor, [1], outputs=2, axis=axis, largest=int(op_type == "ReduceMax"))
            return tensor if keepdims else self.emit("Squeeze", tensor, list(axes))
        if op_type == "ReduceSum" or self.model.opset >= 18:
            return self.emit(op_type, tensor, list(axes), keepdims=int(keepdims))
        return self.emit(op_type, tensor, axes=list(axes), keepdims=int(keepdims))

    def sum_to(self, tensor: Tensor, like: Tensor) -> Tensor:
        """Sums `tensor` over the axes along which `like` was broadcast to it: the adjoint of broadcasting."""
        if is_sequence(like) or same_shape(tensor, like):
            return tensor
        if tensor.shape is not None and like.shape is not None:
            lead = len(tensor.shape) - len(like.shape)
            pairs = list(enumerate(zip(tensor.shape[lead:], like.shape, strict=True), lead))
            stretched = [axis for axis, (big, small) in pairs if small == 1 and big != 1]
            summed = self.reduce("ReduceSum", tensor, [*range(lead), *stretched]) if lead or stretched else tensor
            # A size of `like` that is a number other than 1, or the same symbol, cannot have been stretched.
            open_axes = [axis for axis, (big, small) in pairs if not isinstance(small, int) and (small or "") != big]
            last = len(tensor.shape) - 1
            for axis in open_axes:
                # `like` has 1 there or all of it: the axis becomes (like, size / like), whose second part is summed.
                # (Axes that are only known at run time are more than OpenVINO takes; cuDNN reduces 8 axes at most.)
                kept = self.size(like, axis - lead)
                times = self.emit("Div", self.size(tensor, axis), self.emit("Max", kept, [1]))
                before, after = self.sizes(summed, range(axis)), self.sizes(summed, range(axis + 1, last + 1))
                split = self.emit("Reshape", summed, self.join(before, kept, times, after), allowzero=1)
                summed = self.reduce("ReduceSum", split, [axis + 1], keepdims=False)
            return self.reshape_like(summed, like) if lead else self.declare(summed, like)
        # Ranks that are known only at run time: sum the axes where `like`, its shape padded in front with ones, has 1.
        missing = self.emit("Sub", self.emit("Shape", self.shape(tensor)), self.emit("Shape", self.shape(like)))
        padded = self.emit("Concat", self.emit("Expand", np.array([1]), missing), self.shape(like), axis=0)
        axes = self.emit("Reshape", self.emit("NonZero", self.emit("Equal", padded, np.array(1))), [-1])
        return self.reshape_like(self.emit("ReduceSum", tensor, axes, keepdims=1, noop_with_empty_axes=1), like)

    def declare(self, tensor: Tensor, like: Tensor) -> Tensor:
        """States that `tensor` has the shape of `like`, where inference could not see it."""
        tensor.shape = like.shape
        return tensor

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
