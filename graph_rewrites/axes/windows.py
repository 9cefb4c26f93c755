"""Convolutions, pooling, padding and resizing: each spatial axis is a grid over the one before."""

from __future__ import annotations

import math

from ..graph.operator_traits import traits_of
from ..graph.tensors import Tensor
from .labels import Label, Size, grid_source, only_source
from .step import Step, axes_of


def windows(step: Step) -> list[Label]:
    """Batch and channels stay or are made anew; each spatial axis is a coarser grid of the input's."""
    traits, labels = traits_of(step.node), step.labels()
    last = traits.channels == -1
    channel = step.rank - 1 if last else 1
    spatial = [axis for axis in range(1, step.rank) if axis != channel]
    result: list[Label] = [labels[0]] * step.rank
    result[channel] = labels[channel] if traits.pools else step.made(channel)
    kernel = _kernel(step, len(spatial), last)
    for i, axis in enumerate(spatial):
        result[axis] = _over_windows(step, axis, labels[axis], i, kernel[i], len(spatial))
    return result


def _kernel(step: Step, axes: int, last: bool) -> list[Size]:
    given = step.attrs.get("kernel_shape")
    if given:
        return list(given)
    weight = step.node.inputs[3 if step.node.op == "QLinearConv" else 1]
    shape = weight.shape or [None] * (axes + 2)
    return list(shape[1:-1] if last else shape[2:])


def _over_windows(step: Step, axis: int, label: Label, i: int, kernel: Size, axes: int) -> Label:
    """The grid that windows make; its padding counts as if it were split evenly on both sides."""
    source = grid_source(label)
    stride = (step.attrs.get("strides") or [1] * axes)[i]
    dilation = (step.attrs.get("dilations") or [1] * axes)[i]
    if source is None or not isinstance(kernel, int):
        unchanged = step.shape()[axis] == step.out.shape[axis] and step.shape()[axis] is not None and stride == 1
        return label if unchanged else None
    extent = (kernel - 1) * dilation
    total = _padding(step, source.size, step.out.shape[axis], i, extent, stride, axes)
    if "Transpose" in step.node.op:
        # Position p of the input reaches stride * p - pad to stride * p - pad + extent of the output.
        return step.made(axis, source, 1 / stride, (total - extent) / 2 / stride)
    return step.made(axis, source, stride, (extent - total) / 2)


def _padding(step: Step, size: Size, out: Size, i: int, extent: int, stride: int, axes: int) -> float:
    """The elements that padding adds on both sides together."""
    automatic = step.attrs.get("auto_pad", "NOTSET")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        if isinstance(size, int) and isinstance(out, int):
            return max(0, (out - 1) * stride + extent + 1 - size)
        return extent + 1 - stride
    pads = step.attrs.get("pads")
    total = float(pads[i] + pads[axes + i]) if pads and automatic != "VALID" else 0.0
    if "Transpose" in step.node.op:
        return total
    # Of what a stride leaves unread at the end, nothing counts.
    read = (out - 1) * stride + extent + 1 - size if isinstance(size, int) and isinstance(out, int) else None
    return min(total, max(0, extent + 1 - stride if read is None else read))


@axes_of("Pad")
def pad(step: Step) -> list[Label]:
    """An axis that is padded or cut is shifted."""
    labels, pads = step.labels(), step.entries(1)
    axes = step.known(3)
    chosen = list(range(step.rank)) if axes is None else [int(axis) % step.rank for axis in axes]
    if pads is None:
        for axis in chosen:
            if step.shape()[axis] != step.out.shape[axis] or step.shape()[axis] is None:
                labels[axis] = step.gridded(axis, labels[axis], math.nan, math.nan, cut=True)
        return labels
    for i, axis in enumerate(chosen):
        before, after = (pad if isinstance(pad, int) else None for pad in (pads[i], pads[len(chosen) + i]))
        if before == after == 0:
            continue
        if step.attrs.get("mode") == "wrap" or axis == 0:
            labels[axis] = None
        elif _is_made(labels[axis]):
            labels[axis] = step.made(axis)
        elif before is None:
            labels[axis] = step.gridded(axis, labels[axis], math.nan, math.nan, cut=True)
        elif after is not None and min(before, after) >= 0 and max(before, after) < _reach(step.out, axis):
            labels[axis] = step.gridded(axis, labels[axis], 1, -(before + after) / 2)  # as a window's own padding
        else:
            labels[axis] = step.gridded(axis, labels[axis], 1, -before, cut=True)
    return labels


def _is_made(label: Label) -> bool:
    """Whether the axis is one that an operator made, such as channels."""
    source = only_source(label)
    return source is not None and source.is_made


def _reach(tensor: Tensor, axis: int) -> int:
    """How many positions the windows of those that read a tensor reach over, at least; 0 where others read it."""
    reaches = []
    for reader in tensor.outputs:
        traits = traits_of(reader)
        if reader.op == "Transpose" and reader.outputs[0].shape is not None:
            order = list(reader.attrs.get("perm") or range(len(reader.outputs[0].shape))[::-1])
            reaches.append(_reach(reader.outputs[0], order.index(axis)))
            continue
        if not (traits.convolves or traits.pools):
            return 0
        last = traits.channels == -1
        spatial = axis - 1 if last else axis - 2
        kernel = reader.attrs.get("kernel_shape")
        if kernel is None and len(reader.inputs) > 1 and reader.inputs[1].shape:
            kernel = reader.inputs[1].shape[1:-1] if last else reader.inputs[1].shape[2:]
        dilation = (reader.attrs.get("dilations") or [1] * 8)[spatial]
        reaches.append((kernel[spatial] - 1) * dilation + 1 if kernel and 0 <= spatial < len(kernel) else 0)
    return min(reaches, default=0)


@axes_of("Resize", "Upsample")
def resize(step: Step) -> list[Label]:
    """Spatial axes in other steps, with half-pixel centres unless the corners are aligned."""
    labels, shape = step.labels(), step.shape()
    mode = step.attrs.get("coordinate_transformation_mode", "half_pixel")
    asked = step.entries(3) if step.node.op == "Resize" else None
    for axis, label in enumerate(labels):
        size, out, ratio = shape[axis], step.out.shape[axis], _ratio(step, axis)
        out = asked[axis] if asked and len(asked) == step.rank and not isinstance(out, int) else out
        source = grid_source(label)
        if label == () or ratio == 1 or (size == out and size is not None):
            continue
        if source is None or source.image is None or source.image[1] == 0:
            labels[axis] = None
        elif mode == "align_corners" and isinstance(size, int) and isinstance(out, int):
            labels[axis] = step.made(axis, source, (size - 1) / max(out - 1, 1), 0.0)
        elif ratio is None or mode in ("align_corners", "tf_crop_and_resize"):
            labels[axis] = step.made(axis, source, math.nan)
        else:
            is_shifted = mode == "asymmetric" and step.attrs.get("mode") in ("linear", "cubic")  # others repeat cells
            labels[axis] = step.made(axis, source, ratio, 0.0 if is_shifted else (ratio - 1) / 2)
    return labels


def _ratio(step: Step, axis: int) -> float | None:
    """The positions of the input that one of the output stands for, along an axis; None where that is not known."""
    size, out = step.shape()[axis], step.out.shape[axis]
    if isinstance(size, int) and isinstance(out, int):
        return size / out
    scales = step.known(2 if step.node.op == "Resize" else 1)
    return 1 / float(scales[axis]) if scales is not None and len(scales) > axis and scales[axis] else None


@axes_of("DepthToSpace", "SpaceToDepth")
def pixel_shuffle(step: Step) -> list[Label]:
    """Blocks of channels laid out as pixels: the grid is finer, and lies where it lay."""
    labels, block = step.labels(), step.attrs["blocksize"]
    scale = 1 / block if step.node.op == "DepthToSpace" else float(block)
    spatial = [step.gridded(axis, labels[axis], scale, (scale - 1) / 2) for axis in (2, 3)]
    return [labels[0], step.made(1), *spatial]


@axes_of("CenterCropPad")
def center_crop_pad(step: Step) -> list[Label]:
    """An axis is cut, or padded, on both sides alike; the odd position goes to the end."""
    labels = step.labels()
    axes = step.attrs.get("axes") or range(step.rank)
    for axis in (one % step.rank for one in axes):
        size, out = step.shape()[axis], step.out.shape[axis]
        if isinstance(size, int) and isinstance(out, int):
            before = (size - out) // 2 if size >= out else -((out - size) // 2)
            labels[axis] = labels[axis] if size == out else step.gridded(axis, labels[axis], 1, before, cut=True)
        else:
            labels[axis] = step.gridded(axis, labels[axis], math.nan, math.nan, cut=True)
    return labels


@axes_of("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "com.microsoft::QLinearGlobalAveragePool")
def global_pool(step: Step) -> list[Label]:
    """Batch and channels."""
    labels = step.labels()
    channels = step.rank - 1 if step.attrs.get("channels_last") else 1
    return [label if axis in (0, channels) else () for axis, label in enumerate(labels)]
