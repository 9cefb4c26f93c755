"""Weights that a node and its gradient read alike."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from ...build.emitter import Emitter
from ...graph.tensors import Tensor, dtype_of, is_static, value_of


def own_weight(op: Emitter, weight: Tensor, axes: Sequence[int] = (-2, -1), group: int = 1) -> Tensor:
    """A square weight as a tensor of its own, which runtimes make when they load the file; any other as it is.

    OpenVINO 2026.4 keeps the packed form of a weight under its address and sizes. Where the gradient reads the weight
    with its axes swapped and the sizes are the same, it would take the form that the forward node uses: wrong values,
    without an error. `axes` are those that are swapped; of a convolution in groups, within a group.
    """
    # ONNX Runtime has no Max of bfloat16.
    if not is_weight(op, weight) or not is_static(weight) or dtype_of(weight) == onnx.TensorProto.BFLOAT16:
        return weight
    rows, columns = (weight.shape[axis] for axis in axes)
    if rows != columns * group or columns == 1:
        return weight
    return op.declare(op.Max(weight, weight), weight)


def is_weight(op: Emitter, tensor: Tensor) -> bool:
    """Whether the tensor is a constant or a weight of the file, transposed perhaps."""
    if value_of(tensor) is not None or tensor.name in op.model.weights:
        return True
    maker = tensor.inputs[0] if tensor.inputs else None
    return maker is not None and maker.op in ("Identity", "Transpose") and is_weight(op, maker.inputs[0])
