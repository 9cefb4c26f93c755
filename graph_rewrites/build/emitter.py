"""What rules and maps emit besides single nodes: shapes, casts and reductions, in any opset from 17 on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from ..graph.tensors import Tensor, dtype_of, is_static, rank, value_of
from .builder import NodeBuilder, Operand

# The end of an axis, whatever its size, for Slice.
END = np.iinfo(np.int64).max


class Emitter(NodeBuilder):
    """Appends nodes to `model`: `op.Mul(a, b)` one, `op.sizes(x, [2, 3])` what it takes."""

    def shape(self, tensor: Tensor) -> Tensor:
        """The shape as an int64 vector: a constant where it is static, else a (shared) Shape node."""
        if is_static(tensor):
            return self.constant(np.array(tensor.shape, np.int64))
        return self.once("Shape", tensor)

    def size(self, tensor: Tensor, axis: int) -> Tensor:
        """The size of one axis as an int64 vector of length 1; the rank may be unknown where `axis` is not negative."""
        size = tensor.shape[axis] if tensor.shape is not None else None
        if isinstance(size, int):
            return self.constant(np.array([size], np.int64))
        return self.once(
            "Gather", self.shape(tensor), self.tensor([axis if axis >= 0 else axis % rank(tensor)]), axis=0
        )

    def sizes(self, tensor: Tensor, axes: Sequence[int]) -> Tensor:
        """The sizes of some axes as an int64 vector."""
        known = [tensor.shape[axis] for axis in axes] if tensor.shape is not None else [None]
        if all(isinstance(size, int) for size in known):
            return self.constant(np.array(known, np.int64))
        axes = [axis if axis >= 0 else axis % rank(tensor) for axis in axes]
        return self.once("Gather", self.shape(tensor), self.tensor(axes), axis=0)

    def join(self, *vectors: Operand) -> Tensor:
        """The vectors one after the other: a constant where all of them are known."""
        tensors = [self.tensor(vector) for vector in vectors]
        values = [value for value in map(value_of, tensors) if value is not None]
        if len(values) < len(tensors):
            return self.once("Concat", *tensors, axis=0)
        return self.constant(np.concatenate(values))

    def reshape_like(self, tensor: Tensor, like: Tensor) -> Tensor:
        """`tensor` with the shape of `like`, which it must have room for; a size of 0 is one (no boxes were found)."""
        allowzero = None if is_static(like) and 0 not in like.shape else 1
        return self.declare(self.emit("Reshape", tensor, self.shape(like), allowzero=allowzero), like)

    def expand_like(self, tensor: Operand, like: Tensor) -> Tensor:
        """`tensor` broadcast to the shape of `like`."""
        return self.declare(self.emit("Expand", tensor, self.shape(like)), like)

    def zeros_like(self, tensor: Tensor) -> Tensor:
        """Zeros of the tensor's shape and dtype."""
        dtype = onnx.helper.tensor_dtype_to_np_dtype(dtype_of(tensor))
        return self.declare(self.emit("Expand", np.zeros((), dtype), self.shape(tensor)), tensor)

    def cast_like(self, tensor: Tensor, like: Tensor) -> Tensor:
        """`tensor` in the dtype of `like`."""
        return tensor if dtype_of(tensor) == dtype_of(like) else self.emit("Cast", tensor, to=dtype_of(like))

    def cast(self, tensor: Tensor, dtype: int) -> Tensor:
        """`tensor` in an ONNX element type: a constant at once, else by a (shared) Cast node."""
        if isinstance(tensor, gs.Constant):
            return self.constant(np.asarray(tensor.values).astype(onnx.helper.tensor_dtype_to_np_dtype(dtype)))
        return self.once("Cast", tensor, to=dtype)

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

    def declare(self, tensor: Tensor, like: Tensor) -> Tensor:
        """States that `tensor` has the shape of `like`, where inference could not see it."""
        tensor.shape = like.shape
        return tensor

    def arange(self, size: Tensor) -> Tensor:
        """The int64 vector 0, 1, ... of a size, which is a vector of length 1."""
        return self.emit("Range", np.array(0), self.emit("Squeeze", size, [0]), np.array(1))

    def split(self, tensor: Tensor, parts: int, axis: int) -> tuple[Tensor, ...]:
        """Equal parts along an axis; from opset 18 on, the node must tell their number."""
        count = parts if self.model.opset >= 18 else None
        results: tuple[Tensor, ...] = self.emit("Split", tensor, outputs=parts, axis=axis, num_outputs=count)
        return results
