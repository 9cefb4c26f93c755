"""Convolution and transposed convolution, along any number of spatial axes.

Both slide windows over a wide tensor (the input of Conv, the output of ConvTranspose), one window per position of a
narrow one, and each is the adjoint of the other:

    narrow[o] = sum_k weight[k] * wide[o * stride + k * dilation - begin]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, dtype_of, is_static, rank, value_of
from ...lib.pads import pad
from ...lib.shared_weights import own_weight
from ...reverse import Gradient, Node, gradient_of

BEFORE_ALL = -(2**31)  # as the end of a Slice that runs backwards

Vector: TypeAlias = Any  # one integer per spatial axis: a numpy array where known, else an int64 tensor


@dataclass(frozen=True)
class Windows:
    """Where windows lie, per spatial axis.

    `begin` and `end` pad the wide tensor so that the windows cover it exactly:
    size + begin + end = (count - 1) * stride + (kernel - 1) * dilation + 1. A negative `end` counts the elements at the
    end that no window reaches.
    """

    strides: list[int]
    dilations: list[int]
    begin: Vector
    end: Vector

    @property
    def is_static(self) -> bool:
        """Whether the padding is known before run time."""
        return isinstance(self.begin, np.ndarray) and isinstance(self.end, np.ndarray)


def spatial(tensor: Tensor) -> list[int]:
    """The spatial axes of an [N, C, ...] tensor."""
    return list(range(2, rank(tensor)))


def sizes_of(op: Emitter, tensor: Tensor, axes: Sequence[int]) -> Vector:
    """The sizes along some axes."""
    sizes = op.sizes(tensor, axes)
    known = value_of(sizes)
    return sizes if known is None else known


def compute(op: Emitter, op_type: str, a: Vector, b: Vector | int) -> Vector:
    """Integer arithmetic: at once where both operands are known, else as a node."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray | int):
        function = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.floor_divide, "Max": np.maximum}
        return function[op_type](a, b)
    return op.emit(op_type, a, np.array(b) if isinstance(b, int) else b)


def windows_of(op: Emitter, node: Node, wide: Tensor, narrow: Tensor, kernel: Vector) -> Windows:
    """The windows of a Conv, ConvTranspose or pooling node, from its attributes and sizes."""
    where = spatial(node.inputs[0])
    axes = len(where)
    strides = list(node.attrs.get("strides") or [1] * axes)
    dilations = list(node.attrs.get("dilations") or [1] * axes)
    auto_pad, pads = node.attrs["auto_pad"], node.attrs.get("pads")
    size = sizes_of(op, wide, where)
    # The extent that the windows cover: (count - 1) * stride + (kernel - 1) * dilation + 1.
    offsets = compute(op, "Mul", compute(op, "Sub", sizes_of(op, narrow, where), 1), np.array(strides))
    reach = compute(op, "Mul", compute(op, "Sub", kernel, 1), np.array(dilations))
    covered = compute(op, "Add", compute(op, "Add", offsets, reach), 1)
    beyond = compute(op, "Sub", covered, size)  # begin + end
    if auto_pad.startswith("SAME") or node.attrs.get("output_shape"):
        total = compute(op, "Add", beyond, np.array(node.attrs.get("output_padding") or [0] * axes))
        rounded = compute(op, "Add", compute(op, "Max", total, 0), int(auto_pad != "SAME_UPPER"))
        begin = compute(op, "Div", rounded, 2)
    elif auto_pad == "NOTSET" and pads:
        begin = np.array(pads[:axes])
    else:
        begin = np.zeros(axes, np.int64)
    sized = auto_pad.startswith("SAME") or node.attrs.get("output_shape") or node.attrs.get("output_padding")
    if set(strides) == {1} and not sized:
        end: Vector = np.array(pads[axes:]) if auto_pad == "NOTSET" and pads else np.zeros(axes, np.int64)
    else:
        end = compute(op, "Sub", beyond, begin)
    return Windows(strides, dilations, begin, end)


def transposed_conv(
    op: Emitter, narrow: Tensor, weight: Tensor, like: Tensor, windows: Windows, group: int = 1
) -> Tensor:
    """The adjoint of a convolution: each element of `narrow` adds its weights to the window that it came from.

    Args:
        op: appends the nodes.
        narrow: [N, M, ...], the gradient of a convolution's output.
        weight: [M, C / group, ...], the convolution's weight.
        like: a tensor with the spatial sizes of the result.
        windows: of the convolution.
        group: of the convolution.

    Returns:
        [N, C, ...], the gradient of the convolution's input.
    """
    if windows.is_static and is_static(weight) and (set(windows.strides) == {1} or _is_depthwise(weight, group)):
        # A convolution, where ONNX Runtime is faster at it and keeps its layout. Of windows one apart, on one core 2
        # times for 144 channels by 3x3 and 14 times for 96 by 7x7 where each channel is a group, alike without groups.
        # Of windows further apart only with a group a channel: on two cores 1.4 times for 96 channels by 3x3 to 56x56
        # windows, 2.6 times for 144 by 5x5 to 28x28. Without groups ConvTranspose was 2 to 10 times faster by 3x3 and
        # 7x7, and for single channels, as the gradients of pooling have them, 1.4 to 9 times.
        reach = (np.array(weight.shape[2:]) - 1) * windows.dilations
        begin, end = reach - windows.begin, reach - windows.end - (np.array(windows.strides) - 1)
        if all(begin >= 0) and all(end >= 0):
            pads = [*begin.tolist(), *end.tolist()]
            apart = insert_zeros(op, narrow, windows.strides)
            return op.Conv(
                apart, flipped_kernel(op, weight, group), dilations=windows.dilations, group=group, pads=pads
            )
    weight = own_weight(op, weight, (0, 1), group)
    attributes = {"strides": windows.strides, "dilations": windows.dilations, "group": group}
    if windows.is_static:
        # ONNX Runtime's CUDA kernel wants equal padding at both ends; `output_padding` makes up the difference.
        short = windows.begin - windows.end
        if all((short >= 0) & (short < windows.strides)):
            pads = [*windows.begin.tolist()] * 2
            extra = short.tolist() if any(short) else None
            return op.ConvTranspose(narrow, weight, **attributes, pads=pads, output_padding=extra)
    full = op.ConvTranspose(narrow, weight, **attributes)
    tail = [0, 0, *(stride - 1 for stride in windows.strides)]  # what no window reaches is shorter than a stride
    if any(tail) and not (windows.is_static and all(windows.end >= 0)):
        full = pad(op, full, [0] * len(tail) + tail)
    ends = compute(op, "Add", windows.begin, sizes_of(op, like, spatial(weight)))
    return op.Slice(full, windows.begin, ends, spatial(weight))


def insert_zeros(op: Emitter, narrow: Tensor, strides: Sequence[int]) -> Tensor:
    """[N, M, ...] with each position followed by zeros, to `strides` times its sizes.

    Each value is repeated and all but the first masked: `Pad` of reshaped rows and `ConvTranspose` took longer.
    """
    if set(strides) == {1}:
        return narrow
    scales = np.array([1, 1, *strides], np.float32)
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    first = np.zeros(strides, onnx.helper.tensor_dtype_to_np_dtype(dtype_of(narrow)))
    first[(0,) * len(strides)] = 1
    mask = op.Tile(first, op.tensor(sizes_of(op, narrow, spatial(narrow))))
    return op.Mul(op.Resize(narrow, None, scales, **how), mask)


def flipped_kernel(op: Emitter, weight: Tensor, group: int) -> Tensor:
    """A convolution's weight [M, C / group, ...] as that of the convolution back: [C, M / group, ...], mirrored."""
    features, channels, *kernel = weight.shape
    if group == 1:
        weight = op.Transpose(weight, perm=[1, 0, *spatial(weight)])
    elif (features, channels) != (group, 1):
        parts = op.Reshape(weight, [group, features // group, channels, *kernel])
        parts = op.Transpose(parts, perm=[0, 2, 1, *(axis + 1 for axis in spatial(weight))])
        weight = op.Reshape(parts, [group * channels, features // group, *kernel])
    axes = [axis for axis, size in enumerate(kernel, 2) if size > 1]
    if not axes:
        return weight
    return op.Slice(weight, [-1] * len(axes), [BEFORE_ALL] * len(axes), axes, [-1] * len(axes))


def strided_conv(op: Emitter, wide: Tensor, weight: Tensor, windows: Windows, group: int = 1) -> Tensor:
    """The convolution of `wide` [N, C, ...] with `weight` [M, C / group, ...], exactly one value per window."""
    attributes = {"strides": windows.strides, "dilations": windows.dilations, "group": group}
    if windows.is_static and all(windows.begin >= 0) and all(windows.end >= 0):
        return op.Conv(wide, weight, **attributes, pads=[*windows.begin.tolist(), *windows.end.tolist()])
    return op.Conv(pad(op, wide, op.join([0, 0], windows.begin, [0, 0], windows.end)), weight, **attributes)


def weight_gradient(
    op: Emitter, wide: Tensor, narrow: Tensor, weight: Tensor, windows: Windows, group: int = 1
) -> Tensor:
    """The gradient of a convolution's weight [M, C / group, ...]: dw[m, c, k] = sum narrow[m, o] wide[c, o*s + k*d].

    A convolution over the batch: channels and batch change places, strides and dilations too. The channels of a group
    are gathered in front, [C / group, group * N, ...], so that the new groups are the old ones.
    """
    swapped = Windows(windows.dilations, windows.strides, windows.begin, windows.end)
    axes = spatial(weight)
    sizes = sizes_of(op, wide, axes)
    if group > 1:
        wide = op.Reshape(wide, op.join(op.size(wide, 0), [group], op.size(weight, 1), sizes))
        wide = op.Transpose(wide, perm=[2, 1, 0, *(axis + 1 for axis in axes)])
        wide = op.Reshape(wide, op.join(op.size(weight, 1), [-1], sizes))
    else:
        wide = op.Transpose(wide, perm=[1, 0, *axes])
    result = strided_conv(op, wide, op.Transpose(narrow, perm=[1, 0, *axes]), swapped, group)
    return op.declare(op.Transpose(result, perm=[1, 0, *axes]), weight)


def _is_depthwise(weight: Tensor, group: int) -> bool:
    """Whether each of several channels of an image has windows of its own."""
    return group > 1 and len(weight.shape) == 4 and list(weight.shape[:2]) == [group, 1]


@gradient_of("Conv")
def conv(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx = the transposed convolution of g; dw = the convolution of x with g over the batch; db = sum g."""
    x, weight = node.inputs[:2]
    windows = windows_of(op, node, x, node.outputs[0], sizes_of(op, weight, spatial(x)))
    group = node.attrs["group"]
    return [
        lambda: op.declare(transposed_conv(op, grad, weight, x, windows, group), x),
        lambda: weight_gradient(op, x, grad, weight, windows, group),
        lambda: op.reduce("ReduceSum", grad, [0, *spatial(x)], keepdims=False),
    ][: len(node.inputs)]


@gradient_of("ConvTranspose")
def conv_transpose(op: Emitter, node: Node, grad: Tensor) -> Sequence[Gradient]:
    """dx = the convolution of g with the same weight; dw = the convolution of g with x over the batch; db = sum g."""
    x, weight = node.inputs[:2]
    windows = windows_of(op, node, node.outputs[0], x, sizes_of(op, weight, spatial(x)))
    group = node.attrs["group"]
    return [
        lambda: op.declare(strided_conv(op, grad, own_weight(op, weight, (0, 1), group), windows, group), x),
        lambda: weight_gradient(op, grad, x, weight, windows, group),
        lambda: op.reduce("ReduceSum", grad, [0, *spatial(x)], keepdims=False),
    ][: len(node.inputs)]
