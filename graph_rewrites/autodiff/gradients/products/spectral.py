"""Fourier transforms: linear maps, whose gradients are the transforms back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, rank, value_of
from ...decompose import decomposition_of
from ...lib.pads import pad
from ...reverse import Gradient, Node, gradient_of


@gradient_of("DFT")
def dft(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """The adjoint of the DFT of length n is n times the inverse DFT; that of the inverse is 1/n times the DFT.

    A signal that was cut or filled up with zeros to n, or to its one-sided spectrum, is filled up or cut. The inverse
    of a one-sided spectrum reads every frequency twice, but for the first and, if n is even, the last.
    """
    x, *rest = node.inputs
    axis = Axis.of(op, node)
    inverse, onesided = bool(node.attrs["inverse"]), bool(node.attrs["onesided"])
    size = axis.size(op, x)
    if rest and rest[0] is not None:
        length = op.Reshape(op.Cast(rest[0], to=onnx.TensorProto.INT64), [1])
    else:
        length = op.Mul(op.Sub(size, [1]), [2]) if inverse and onesided else size
    n = op.cast_like(length, grad)
    if inverse and onesided:
        spectrum = op.Div(transform(op, grad, length, axis, onesided=1), n)
        dx = op.Mul(spectrum, _repeats(op, spectrum, length, axis))
    elif inverse:
        dx = op.Div(transform(op, grad, length, axis), n)
    else:
        whole = axis.fitted(op, grad, length) if onesided else grad
        dx = op.Mul(transform(op, whole, length, axis, inverse=1), n)
    dx = op.Slice(axis.fitted(op, dx, size), [0], op.size(x, -1), [-1])  # the real part, where x is real
    return [op.declare(dx, x), *[None] * len(rest)]


@dataclass(frozen=True)
class Axis:
    """The axis of a transform, which from opset 20 on run time may choose: an int64 scalar, and a unit vector."""

    known: int | None
    index: Tensor
    unit: Tensor

    @classmethod
    def of(cls, op: Emitter, node: Node) -> Axis:
        """The axis of a DFT node."""
        axes = rank(node.inputs[0])
        given = node.inputs[2] if len(node.inputs) > 2 else None
        value = np.array(node.attrs.get("axis", -2)) if given is None else value_of(given)
        if value is not None:
            return cls.at(op, int(value.item()), axes)
        index = op.Mod(op.Reshape(given, np.array([], np.int64)), np.array(axes))
        return cls(None, index, op.Cast(op.Equal(np.arange(axes), index), to=onnx.TensorProto.INT64))

    @classmethod
    def at(cls, op: Emitter, axis: int, axes: int) -> Axis:
        """A known axis of some."""
        known = axis % axes
        return cls(known, op.tensor(np.array(known)), op.tensor((np.arange(axes) == known).astype(np.int64)))

    def size(self, op: Emitter, tensor: Tensor) -> Tensor:
        """The tensor's size along the axis, as a vector of length 1."""
        return op.Gather(op.shape(tensor), op.Unsqueeze(self.index, [0]), axis=0)

    def fitted(self, op: Emitter, tensor: Tensor, size: Tensor) -> Tensor:
        """The tensor cut at the end of the axis, or filled up there with zeros, to a size."""
        missing = op.Mul(self.unit, op.Sub(size, self.size(op, tensor)))
        return pad(op, tensor, op.join([0] * rank(tensor), missing))


def transform(op: Emitter, signal: Tensor, length: Tensor, axis: Axis, **attributes: int) -> Tensor:
    """The DFT along an axis, which is an attribute before opset 20 and an input from there on."""
    scalar = op.Squeeze(length, [0])
    if op.model.opset < 20:
        spectrum = op.DFT(signal, scalar, axis=axis.known, **attributes)
    else:
        spectrum = op.DFT(signal, scalar, axis.index, **attributes)
    # Inference says nothing where the length or the number of parts is unknown; the rank it could.
    spectrum.shape = [size if axis.known not in (i, None) else None for i, size in enumerate(signal.shape[:-1])] + [2]
    return spectrum


def _repeats(op: Emitter, spectrum: Tensor, length: Tensor, axis: Axis) -> Tensor:
    """How often the whole spectrum has each frequency of the one-sided one, along its axis: once or twice."""
    count = axis.size(op, spectrum)
    k = op.arange(count)
    single = op.Or(op.Equal(k, np.array(0)), op.Equal(op.Mul(k, np.array(2)), length))
    repeats = op.Add(op.Neg(op.cast_like(single, spectrum)), 2.0)
    return op.Reshape(repeats, op.Add(op.Mul(axis.unit, op.Sub(count, [1])), [1]))


@decomposition_of("STFT")
def stft(op: Emitter, node: Node) -> list[Tensor]:
    """y[n, t] = the DFT of window * signal[n, t * step : t * step + window size]."""
    signal, step, window, length = (*node.inputs, None, None)[:4]
    step = op.Reshape(op.Cast(step, to=onnx.TensorProto.INT64), [1])
    length = None if length is None else op.Reshape(op.Cast(length, to=onnx.TensorProto.INT64), [1])
    width = op.size(window, 0) if window is not None else length if length is not None else op.size(signal, 1)
    count = op.Add(op.Div(op.Sub(op.size(signal, 1), width), step), [1])
    starts, within = (op.arange(n) for n in (count, width))
    positions = op.Add(op.Unsqueeze(op.Mul(starts, step), [1]), within)
    frames = op.Gather(signal, positions, axis=1)  # [N, frames, width, 1 or 2]
    if window is not None:
        frames = op.Mul(frames, op.Unsqueeze(window, [1]))
    y = transform(op, frames, width if length is None else length, Axis.at(op, 2, 4), onesided=node.attrs["onesided"])
    return [op.declare(y, node.outputs[0])]
