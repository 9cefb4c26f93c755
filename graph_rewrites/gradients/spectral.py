"""Fourier transforms: linear maps, whose gradients are the transforms back."""

from __future__ import annotations

import numpy as np
import onnx

from ..backward import Gradient, Node, gradient_of
from ..emit import Emitter
from ..errors import OnnxplainError
from ..expand import expansion_of
from ..tensors import Tensor, rank, value_of


@gradient_of("DFT")
def dft(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """The adjoint of the DFT of length n is n times the inverse DFT; that of the inverse is 1/n times the DFT.

    A signal that was cut or filled up with zeros to n, or to its one-sided spectrum, is filled up or cut. The inverse
    of a one-sided spectrum reads every frequency twice, but for the first and, if n is even, the last.
    """
    x, *rest = node.inputs
    axis = _axis(node)
    inverse, onesided = bool(node.attrs["inverse"]), bool(node.attrs["onesided"])
    size = op.size(x, axis)
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
        whole = fitted(op, grad, length, axis) if onesided else grad
        dx = op.Mul(transform(op, whole, length, axis, inverse=1), n)
    dx = op.Slice(fitted(op, dx, size, axis), [0], op.size(x, -1), [-1])  # the real part, where x is real
    return [op.declare(dx, x), *[None] * len(rest)]


def transform(op: Emitter, signal: Tensor, length: Tensor, axis: int, **attributes: int) -> Tensor:
    """The DFT along an axis, which is an attribute before opset 20 and an input from there on."""
    scalar = op.Squeeze(length, [0])
    if op.model.opset < 20:
        spectrum = op.DFT(signal, scalar, axis=axis, **attributes)
    else:
        spectrum = op.DFT(signal, scalar, np.array(axis), **attributes)
    # Inference says nothing where the length or the number of parts is unknown; the rank it could.
    spectrum.shape = [None if i == axis else size for i, size in enumerate(signal.shape[:-1])] + [2]
    return spectrum


def fitted(op: Emitter, tensor: Tensor, size: Tensor, axis: int) -> Tensor:
    """`tensor` cut at the end of an axis, or filled up there with zeros, to a size."""
    missing = op.Sub(size, op.size(tensor, axis))
    return op.Pad(tensor, op.join([0] * (rank(tensor) + axis), missing, [0] * (rank(tensor) - axis - 1)))


def _axis(node: Node) -> int:
    """The axis that is transformed, counted from the front."""
    axis = node.attrs.get("axis", -2)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        axis = value_of(node.inputs[2])
        if axis is None:
            raise OnnxplainError(
                f"DFT {node.name!r} finds its axis at run time, which has no gradient; make the axis a constant"
            )
    return int(axis) % rank(node.inputs[0])


def _repeats(op: Emitter, spectrum: Tensor, length: Tensor, axis: int) -> Tensor:
    """How often the whole spectrum has each frequency of the one-sided one, along its axis: once or twice."""
    k = op.Range(np.array(0), op.Squeeze(op.size(spectrum, axis), [0]), np.array(1))
    single = op.Or(op.Equal(k, np.array(0)), op.Equal(op.Mul(k, np.array(2)), length))
    repeats = op.Add(op.Neg(op.cast_like(single, spectrum)), 2.0)
    return op.Unsqueeze(repeats, list(range(1, rank(spectrum) - axis)))


@expansion_of("STFT")
def stft(op: Emitter, node: Node) -> list[Tensor]:
    """y[n, t] = the DFT of window * signal[n, t * step : t * step + window size]."""
    signal, step, window, length = (*node.inputs, None, None)[:4]
    step = op.Reshape(op.Cast(step, to=onnx.TensorProto.INT64), [1])
    length = None if length is None else op.Reshape(op.Cast(length, to=onnx.TensorProto.INT64), [1])
    width = op.size(window, 0) if window is not None else length if length is not None else op.size(signal, 1)
    count = op.Add(op.Div(op.Sub(op.size(signal, 1), width), step), [1])
    starts, within = (op.Range(np.array(0), op.Squeeze(n, [0]), np.array(1)) for n in (count, width))
    positions = op.Add(op.Unsqueeze(op.Mul(starts, step), [1]), within)
    frames = op.Gather(signal, positions, axis=1)  # [N, frames, width, 1 or 2]
    if window is not None:
        frames = op.Mul(frames, op.Unsqueeze(window, [1]))
    y = transform(op, frames, width if length is None else length, 2, onesided=node.attrs["onesided"])
    return [op.declare(y, node.outputs[0])]
