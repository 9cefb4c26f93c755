"""Resize: linear and separable, so its gradient multiplies each resized axis by a transposed interpolation matrix.

The matrix of an axis is what the same Resize makes of an identity; the runtime folds it where the sizes are static.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import onnx

from ....build.emitter import Emitter
from ....errors import OnnxplainError
from ....graph.tensors import Tensor, rank, value_of
from ...lib.matrices import along_axis, identity_matrix
from ...lib.sampling import sampling_gradient
from ...reverse import Gradient, Node, gradient_of


@gradient_of("Resize")
def resize(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g times the transposed interpolation matrix of each resized axis; droi, dscales: see `sampling_gradient`.

    Raises:
        OnnxplainError: a gradient of the region of interest or of the scales is asked for, and the mode is cubic or
            antialiased; or the node both crops and keeps the aspect ratio.
    """
    x = node.inputs[0]
    roi, scales, sizes = (_given(tensor) for tensor in (*node.inputs[1:], None, None, None)[:3])
    mode = node.attrs["coordinate_transformation_mode"]
    if mode != "tf_crop_and_resize":
        roi = None  # other modes ignore it
    axes = [int(axis) % rank(x) for axis in node.attrs.get("axes") or range(rank(x))]
    matrices = _matrices(op, node, axes, roi, scales, sizes)
    dx = grad
    for axis, matrix in matrices.items():
        dx = along_axis(op, dx, matrix, axis)
    # What the nearest neighbour is does not vary with the scale or the region.
    smooth = node.attrs["mode"] != "nearest"
    droi, dscales = (
        partial(sampling_gradient, op, node, grad, parameter, axes, matrices) if smooth and varies else None
        for parameter, varies in ((roi, roi is not None), (scales, mode not in ("align_corners", "tf_crop_and_resize")))
    )
    return [op.declare(dx, x), droi, dscales, None][: len(node.inputs)]


def _matrices(
    op: Emitter, node: Node, axes: list[int], roi: Tensor | None, scales: Tensor | None, sizes: Tensor | None
) -> dict[int, Tensor]:
    """The interpolation matrix [out, in] of each axis that is resized."""
    x = node.inputs[0]
    shared_scale = sizes is not None and node.attrs.get("keep_aspect_ratio_policy", "stretch") != "stretch"
    factors, outputs = value_of(scales), node.outputs[0].shape or [None] * rank(x)
    matrices = {}
    for place, axis in enumerate(axes):
        if shared_scale:
            matrices[axis] = _interpolation_at_shared_scale(op, node, axes, place, roi, sizes)
            continue
        if roi is None and factors is not None and factors[place] == 1:
            continue
        # An axis that keeps its size is not resized (unless a region of interest crops it).
        if roi is None and factors is None and outputs[axis] is not None and outputs[axis] == x.shape[axis]:
            continue
        region = None if roi is None else _region(op, roi, place, len(axes))
        factor = op.Slice(scales, [place], [place + 1]) if sizes is None else None
        number = None if factors is None else float(factors[place])
        may_stay = (sizes is None or roi is not None) and _may_keep_its_length(node, axis, number, roi is not None)
        interpolation = _interpolation_beside_another if may_stay else _interpolation
        matrices[axis] = interpolation(op, node, axis, region, factor)
    return matrices


def _may_keep_its_length(node: Node, axis: int, factor: float | None, is_cropped: bool) -> bool:
    """Whether an axis may be as long as before though it is interpolated and another axis changes its length."""
    before, after = node.inputs[0].shape, node.outputs[0].shape
    if after is not None and isinstance(before[axis], int) and isinstance(after[axis], int):
        return bool(before[axis] == after[axis] and before != after)
    # An axis of 1 does not change its values, and one of 2 or more grows if the factor is 1.5 or more.
    return is_cropped or factor is None or 1 < factor < 1.5


def _given(tensor: Tensor | None) -> Tensor | None:
    """The tensor, or None where an exporter left an empty constant in its place."""
    known = value_of(tensor)
    return None if known is not None and known.size == 0 else tensor


def _interpolation(op: Emitter, node: Node, axis: int, region: Tensor | None, factor: Tensor | None) -> Tensor:
    """The matrix [out, in] by which the node interpolates one axis, made as an image [1, 1, out, in]."""
    x = node.inputs[0]
    image = op.Unsqueeze(identity_matrix(op, op.size(x, axis), x), [0, 1])
    if factor is None:
        target = None, op.join([1, 1], op.size(node.outputs[0], axis), op.size(x, axis))
    else:
        target = op.Concat(_ones(op, factor, 2), factor, _ones(op, factor, 1), axis=0), None
    return op.Squeeze(_resized(op, node, image, region, *target), [0, 1])


def _interpolation_beside_another(
    op: Emitter, node: Node, axis: int, region: Tensor | None, factor: Tensor | None
) -> Tensor:
    """The same where the axis may keep its length, made as columns [1, in, out, 2] of an image [1, in, in, 1].

    ONNX Runtime copies a tensor that keeps its whole shape, whatever the scales say. So the image has a further axis,
    which is repeated where the node changes the length of any axis.
    """
    x, y = node.inputs[0], node.outputs[0]
    size = op.size(x, axis)
    image = op.Unsqueeze(identity_matrix(op, size, x), [0, 3])
    stays = op.Cast(op.Equal(op.shape(x), op.shape(y)), to=onnx.TensorProto.INT64)
    copies = op.Sub([2], op.reduce("ReduceProd", stays, [0]))
    if factor is None:
        target = None, op.join([1], size, op.size(y, axis), copies)
    else:
        target = op.Concat(_ones(op, factor, 2), factor, op.cast_like(copies, factor), axis=0), None
    columns = op.Slice(_resized(op, node, image, region, *target), [0], [1], [3])
    return op.Transpose(op.Squeeze(columns, [0, 3]), perm=[1, 0])


def _resized(
    op: Emitter, node: Node, image: Tensor, region: Tensor | None, scales: Tensor | None, sizes: Tensor | None
) -> Tensor:
    """An image of four axes, resized as the node does, with zeros beyond its ends."""
    attributes: dict[str, Any] = {
        **node.attrs,
        "extrapolation_value": 0.0,
        "axes": None,
        "keep_aspect_ratio_policy": None,
    }
    return op.emit("Resize", image, region, scales, sizes, **attributes)


def _interpolation_at_shared_scale(
    op: Emitter, node: Node, axes: list[int], place: int, roi: Tensor | None, sizes: Tensor
) -> Tensor:
    """The matrix [out, in] of one axis where the sizes of all of them choose the scale (`keep_aspect_ratio_policy`).

    The identity is resized together with the other axes, along which it holds copies: [in, 1, one axis each].

    Raises:
        OnnxplainError: with a region of interest, beyond which the copies would end.
    """
    if roi is not None:
        raise OnnxplainError(
            f"Resize {node.name!r} crops and keeps the aspect ratio, for which there is no gradient rule; export it "
            "with scales= or keep_aspect_ratio_policy='stretch'"
        )
    x, count = node.inputs[0], len(axes)
    others = [2 + i for i in range(count) if i != place]
    size = op.size(x, axes[place])
    image = op.Unsqueeze(identity_matrix(op, size, x), [1, *others])
    image = op.Expand(image, op.join(size, [1], *(op.size(x, axis) for axis in axes)))
    attributes = {**node.attrs, "axes": list(range(2, 2 + count))}
    resized = op.Resize(image, None, None, op.Reshape(sizes, [count]), **attributes)
    first = op.Slice(resized, [0] * len(others), [1] * len(others), others) if others else resized
    return op.Transpose(op.Squeeze(first, [1, *others]), perm=[1, 0])


def _region(op: Emitter, roi: Tensor, place: int, count: int) -> Tensor:
    """The region of interest of one axis, as that of the third axis of four."""
    ones = _ones(op, roi, 1)
    zeros = op.Sub(ones, ones)
    start, end = op.Slice(roi, [place], [place + 1]), op.Slice(roi, [count + place], [count + place + 1])
    return op.Concat(zeros, zeros, start, zeros, ones, ones, end, ones, axis=0)


def _ones(op: Emitter, like: Tensor, count: int) -> Tensor:
    return op.cast_like(op.constant(np.ones(count, np.float32)), like)
