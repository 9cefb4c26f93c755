"""Convolution and pooling, which onnx's reference evaluator computes wrongly or too slowly for whole networks.

Each class takes the place of the evaluator's own for every opset; attributes arrive with the specification's defaults.
Found with onnx 1.23, by comparison with ONNX Runtime:

    Conv, AveragePool     right, but a loop over positions: several times slower here, far more in older versions
    ConvTranspose         refuses groups, and `output_shape` without `auto_pad`; a loop over channels
    MaxPool               wrong sizes under SAME padding; wrong Indices without padding
    LpPool                wrong where ceil_mode cuts a window at the border
    GlobalMaxPool         wrong unless there are exactly two spatial axes
    GlobalLpPool          missing
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

Array: TypeAlias = Any  # an ndarray; numpy's stubs do not follow starred indices
Ints: TypeAlias = Sequence[int]
# Numbers that are multiplied and added while they stay in a core's cache.
IN_CACHE = 1 << 15


class Windows:
    """Where windows lie along the spatial axes: `counts` of them, over the input padded by `begin` and `end`.

    Window o reads the padded positions `o * stride + k * dilation`, k in [0, kernel).
    """

    def __init__(self, sizes: Ints, kernel: Ints, attrs: dict[str, Any]) -> None:
        axes = range(len(sizes))
        self.sizes, self.kernel = tuple(sizes), tuple(kernel)
        self.strides = attrs.get("strides") or [1] * len(sizes)
        self.dilations = attrs.get("dilations") or [1] * len(sizes)
        self.reach = [(kernel[i] - 1) * self.dilations[i] + 1 for i in axes]
        auto_pad, ceil = attrs.get("auto_pad") or "NOTSET", attrs.get("ceil_mode") or 0
        if auto_pad.startswith("SAME"):
            self.counts = [-(-sizes[i] // self.strides[i]) for i in axes]
            total = [max((self.counts[i] - 1) * self.strides[i] + self.reach[i] - sizes[i], 0) for i in axes]
            half = [(t if auto_pad == "SAME_UPPER" else t + 1) // 2 for t in total]
            pads = half + [t - h for t, h in zip(total, half, strict=True)]
        else:
            pads = list((attrs.get("pads") if auto_pad == "NOTSET" else None) or [0] * (2 * len(sizes)))
            rooms = [sizes[i] + pads[i] + pads[i + len(sizes)] - self.reach[i] for i in axes]
            self.counts = [(-(-r // s) if ceil else r // s) + 1 for r, s in zip(rooms, self.strides, strict=True)]
            if ceil:  # no window starts in the padding at the end
                last = [(self.counts[i] - 1) * self.strides[i] >= sizes[i] + pads[i] for i in axes]
                self.counts = [count - int(late) for count, late in zip(self.counts, last, strict=True)]
        self.begin, self.end = pads[: len(sizes)], pads[len(sizes) :]

    def pad(self, x: Array, value: float) -> Array:
        """`x` with its padding, and with what windows at the end read beyond it (`ceil_mode`)."""
        needed = [(n - 1) * s + r for n, s, r in zip(self.counts, self.strides, self.reach, strict=True)]
        ends = [n - size - b for n, size, b in zip(needed, self.sizes, self.begin, strict=True)]
        widths = [(0, 0), (0, 0), *((b, max(e, 0)) for b, e in zip(self.begin, ends, strict=True))]
        return np.pad(x, widths, constant_values=value) if any(map(any, widths)) else x

    def taps(self) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        """Each kernel position, and the padded positions that it reads, one per window."""
        for tap in np.ndindex(*self.kernel):
            starts = [k * d for k, d in zip(tap, self.dilations, strict=True)]
            spans = zip(starts, self.counts, self.strides, strict=True)
            yield tap, tuple(slice(start, start + (n - 1) * s + 1, s) for start, n, s in spans)

    def valid(self, count_padding: bool) -> Array:
        """The number of positions in each window that are inside the input (or its declared padding)."""
        per_axis = []
        for i, size in enumerate(self.sizes):
            at = np.arange(self.counts[i])[:, None] * self.strides[i] + np.arange(self.kernel[i]) * self.dilations[i]
            low, high = (
                (0, size + self.begin[i] + self.end[i]) if count_padding else (self.begin[i], self.begin[i] + size)
            )
            per_axis.append(((at >= low) & (at < high)).sum(axis=1))
        return np.asarray(np.prod(np.stack(np.meshgrid(*per_axis, indexing="ij")), axis=0))


class Conv(OpRun):
    def _run(self, x: Array, w: Array, b: Array | None = None, group: int = 1, **attrs: Any) -> tuple[Array]:
        windows = Windows(x.shape[2:], w.shape[2:], attrs)
        n, count = x.shape[0], tuple(windows.counts)
        padded = windows.pad(x, 0)
        weight = w.reshape(group, w.shape[0] // group, w.shape[1], -1)
        y = np.zeros((n, group, weight.shape[1], *count), np.result_type(x, w))
        if np.prod(windows.kernel) <= np.prod(count):
            flat, places = y.reshape(n, group, weight.shape[1], -1), [at for _, at in windows.taps()]
            for image, result in zip(padded.reshape(n, group, w.shape[1], *padded.shape[2:]), flat, strict=True):
                if w.shape[1] == 1:
                    _depthwise(image[:, 0], weight[:, :, 0], places, result)
                else:
                    columns = np.stack([image[(..., *at)] for at in places], axis=2)
                    np.matmul(weight.reshape(*weight.shape[:2], -1), columns.reshape(group, -1, flat.shape[-1]), result)
        else:  # few windows, each large: the gradients of weights
            columns = weight.reshape(group, weight.shape[1], -1).transpose(0, 2, 1)
            for o in np.ndindex(*count):
                spans = zip(o, windows.strides, windows.reach, windows.dilations, strict=True)
                patch = padded[(..., *(slice(i * s, i * s + r, d) for i, s, r, d in spans))]
                y[(..., *o)] = (patch.reshape(n, group, -1).swapaxes(0, 1) @ columns).swapaxes(0, 1)
        y = y.reshape(n, w.shape[0], *count)
        return (y if b is None else y + b.reshape(-1, *[1] * len(count)),)


def _depthwise(image: Array, weight: Array, places: Sequence[tuple[slice, ...]], result: Array) -> None:
    """Adds each channel's windows times its weights [group, M, taps] to `result` [group, M, positions]."""
    together = max(1, IN_CACHE // result[0].size)  # channels
    for first in range(0, len(image), together):
        part = slice(first, first + together)
        for i, at in enumerate(places):
            patch = image[(part, *at)].reshape(len(image[part]), 1, -1)
            result[part] += weight[part, :, i, None] * patch


class ConvTranspose(OpRun):
    def _run(self, x: Array, w: Array, b: Array | None = None, group: int = 1, **attrs: Any) -> tuple[Array]:
        sizes, axes, n = x.shape[2:], range(x.ndim - 2), x.shape[0]
        strides, dilations = attrs["strides"] or [1] * len(axes), attrs["dilations"] or [1] * len(axes)
        extra = attrs["output_padding"] or [0] * len(axes)
        spans = [(sizes[i] - 1) * strides[i] + 1 for i in axes]
        full = [spans[i] + (w.shape[2 + i] - 1) * dilations[i] for i in axes]
        auto_pad, shape = attrs["auto_pad"], attrs["output_shape"]
        if shape is None and auto_pad.startswith("SAME"):
            shape = [sizes[i] * strides[i] for i in axes]
        if shape is None:
            pads = (attrs["pads"] if auto_pad == "NOTSET" else None) or [0] * (2 * len(axes))
            begin = list(pads[: len(axes)])
            shape = [full[i] + extra[i] - pads[i] - pads[i + len(axes)] for i in axes]
        else:
            total = [max(full[i] + extra[i] - shape[-len(axes) :][i], 0) for i in axes]
            begin = [t // 2 if auto_pad == "SAME_UPPER" else t - t // 2 for t in total]
        shape = list(shape[-len(axes) :])

        canvas = [max(full[i], begin[i] + shape[i]) for i in axes]
        y: Array = np.zeros((n, group, w.shape[1], *canvas), np.result_type(x, w))
        rows = x.reshape(n, group, x.shape[1] // group, -1)
        weight = w.reshape(group, w.shape[0] // group, w.shape[1], *w.shape[2:]).swapaxes(1, 2)
        for tap in np.ndindex(*w.shape[2:]):
            at = (slice(k * d, k * d + span, s) for k, d, span, s in zip(tap, dilations, spans, strides, strict=True))
            part = np.ascontiguousarray(weight[(..., *tap)])
            product = part * rows if part.shape[2] == 1 else part @ rows
            y[(..., *at)] += product.reshape(n, group, w.shape[1], *sizes)
        y = y[(..., *(slice(begin[i], begin[i] + shape[i]) for i in axes))].reshape(n, -1, *shape)
        return (y if b is None else y + b.reshape(-1, *[1] * len(axes)),)


class MaxPool(OpRun):
    def _run(self, x: Array, kernel_shape: Ints, storage_order: int = 0, **attrs: Any) -> tuple[Array, ...]:
        windows = Windows(x.shape[2:], kernel_shape, attrs)
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        padded = windows.pad(x, lowest)
        y = np.full((*x.shape[:2], *windows.counts), lowest, x.dtype)
        if len(self.output) == 1:
            for _, at in windows.taps():
                np.maximum(y, padded[(..., *at)], out=y)
            return (y,)
        # Row-major positions in each channel (column-major for storage_order 1), at the padded places.
        positions = np.arange(np.prod(windows.sizes)).reshape(windows.sizes, order="F" if storage_order else "C")
        positions = windows.pad(positions[None, None], -1)[0, 0]
        indices = np.full(y.shape, -1, np.int64)
        for _, at in windows.taps():
            better = padded[(..., *at)] > y
            y = np.where(better, padded[(..., *at)], y)
            indices = np.where(better, positions[at], indices)
        channels = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *[1] * len(windows.sizes))
        return y, indices + channels * np.prod(windows.sizes)


class AveragePool(OpRun):
    def _run(self, x: Array, kernel_shape: Ints, count_include_pad: int = 0, **attrs: Any) -> tuple[Array]:
        windows = Windows(x.shape[2:], kernel_shape, attrs)
        padded = windows.pad(x, 0)
        total = sum(padded[(..., *at)] for _, at in windows.taps())
        return ((total / windows.valid(bool(count_include_pad))).astype(x.dtype),)


class LpPool(OpRun):
    def _run(self, x: Array, kernel_shape: Ints, p: int = 2, **attrs: Any) -> tuple[Array]:
        windows = Windows(x.shape[2:], kernel_shape, attrs)
        padded = windows.pad(np.abs(x) ** p, 0)
        return (sum(padded[(..., *at)] for _, at in windows.taps()) ** x.dtype.type(1 / p),)


class GlobalMaxPool(OpRun):
    def _run(self, x: Array) -> tuple[Array]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class GlobalLpPool(OpRun):
    def _run(self, x: Array, p: int = 2) -> tuple[Array]:
        total = (np.abs(x) ** p).sum(axis=tuple(range(2, x.ndim)), keepdims=True)
        return (total ** x.dtype.type(1 / p),)


REPLACEMENTS: list[type[OpRun]] = [
    *(Conv, ConvTranspose, MaxPool, AveragePool, LpPool, GlobalMaxPool, GlobalLpPool),
]
