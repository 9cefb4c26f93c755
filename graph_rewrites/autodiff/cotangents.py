"""What the reverse pass does with gradients themselves: zeros, sums, and sums over what was broadcast.

The gradient of a tensor has its shape; that of a sequence is the sequence of its elements' gradients.
"""

from __future__ import annotations

import numpy as np

from ..build.emitter import Emitter
from ..build.sequences import sequence_of
from ..graph.tensors import Tensor, is_sequence, same_shape


def zeros_like(op: Emitter, tensor: Tensor) -> Tensor:
    """Zeros of the tensor's shape and dtype; of a sequence, a sequence of zeros."""
    if not is_sequence(tensor):
        return op.zeros_like(tensor)
    length = op.SequenceLength(tensor)
    return sequence_of(op, tensor, length, lambda i: op.zeros_like(op.SequenceAt(tensor, i)))


def add(op: Emitter, a: Tensor, b: Tensor) -> Tensor:
    """The sum of two gradients of one tensor, or of the elements of two sequences."""
    if not is_sequence(a):
        return op.declare(op.Add(a, b), a)
    return sequence_of(op, a, op.SequenceLength(a), lambda i: op.Add(op.SequenceAt(a, i), op.SequenceAt(b, i)))


def sum_to(op: Emitter, tensor: Tensor, like: Tensor) -> Tensor:
    """Sums `tensor` over the axes along which `like` was broadcast to it: the adjoint of broadcasting."""
    if is_sequence(like) or same_shape(tensor, like):
        return tensor
    if tensor.shape is not None and like.shape is not None:
        lead = len(tensor.shape) - len(like.shape)
        pairs = list(enumerate(zip(tensor.shape[lead:], like.shape, strict=True), lead))
        stretched = [axis for axis, (big, small) in pairs if small == 1 and big != 1]
        summed = op.reduce("ReduceSum", tensor, [*range(lead), *stretched]) if lead or stretched else tensor
        # A size of `like` that is a number other than 1, or the same symbol, cannot have been stretched.
        open_axes = [axis for axis, (big, small) in pairs if not isinstance(small, int) and (small or "") != big]
        last = len(tensor.shape) - 1
        for axis in open_axes:
            # `like` has 1 there or all of it: the axis becomes (like, size / like), whose second part is summed.
            # (Axes that are only known at run time are more than OpenVINO takes; cuDNN reduces 8 axes at most.)
            kept = op.size(like, axis - lead)
            times = op.Div(op.size(tensor, axis), op.Max(kept, [1]))
            before, after = op.sizes(summed, range(axis)), op.sizes(summed, range(axis + 1, last + 1))
            split = op.Reshape(summed, op.join(before, kept, times, after), allowzero=1)
            summed = op.reduce("ReduceSum", split, [axis + 1], keepdims=False)
        return op.reshape_like(summed, like) if lead else op.declare(summed, like)
    # Ranks that are known only at run time: sum the axes where `like`, its shape padded in front with ones, has 1.
    missing = op.Sub(op.Shape(op.shape(tensor)), op.Shape(op.shape(like)))
    padded = op.Concat(op.Expand(np.array([1]), missing), op.shape(like), axis=0)
    axes = op.Reshape(op.NonZero(op.Equal(padded, np.array(1))), [-1])
    return op.reshape_like(op.ReduceSum(tensor, axes, keepdims=1, noop_with_empty_axes=1), like)
