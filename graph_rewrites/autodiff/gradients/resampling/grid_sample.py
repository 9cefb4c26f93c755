"""GridSample and AffineGrid: sampling of an image, volume or signal at the positions of a grid, and such a grid."""

from __future__ import annotations

import numpy as np

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, rank
from ...decompose import decomposition_of
from ...lib.interpolation import Taps, clamp, constant, inside, interpolate, product, taps_along
from ...lib.pads import pad
from ...reverse import Gradient, Node, gradient_of


@decomposition_of("GridSample")
def grid_sample(op: Emitter, node: Node) -> list[Tensor]:
    """y[n, c, p] = sum_k w[n, p, k] x[n, c, i[n, p, k]]: weights and indices along each axis from the grid.

    At kinks the gradient of the grid is PyTorch's: that of the cell above a pixel's centre; 0 where a coordinate lies
    on or beyond the border that it is moved to; 0 for nearest neighbours.
    """
    x, grid = node.inputs
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(node.attrs["mode"], node.attrs["mode"])  # names of opset 16
    padding, aligned = node.attrs["padding_mode"], bool(node.attrs["align_corners"])
    axes = rank(x) - 2
    points = op.Reshape(grid, op.join(op.size(grid, 0), [-1, axes]))
    sizes = [op.size(x, 2 + axis) for axis in range(axes)]
    taps = []
    for axis, size in enumerate(sizes):
        # The grid's last axis counts the innermost axis of x first.
        coordinate = op.Gather(points, np.array(axes - 1 - axis), axis=2)
        taps.append(_taps(op, coordinate, size, mode, padding, aligned))
    table = op.Reshape(x, [0, 0, -1])
    y = interpolate(op, table, product(op, taps, sizes))
    return [op.reshape_like(y, node.outputs[0])]


def _taps(op: Emitter, coordinate: Tensor, size: Tensor, mode: str, padding: str, aligned: bool) -> Taps:
    """The taps along one axis: its coordinates [N, P] run from -1 to 1."""
    length = op.cast_like(size, coordinate)
    scale = op.Mul(op.Sub(length, 1.0) if aligned else length, 0.5)
    position = op.Add(op.Mul(coordinate, scale), op.Mul(op.Sub(length, 1.0), 0.5))
    if mode != "cubic":  # which pads at its taps alone
        position = _into(op, position, length, padding, aligned)
    taps = taps_along(op, position, mode)
    if padding == "reflection" and mode == "cubic":
        index = _into(op, op.cast_like(taps.index, position), length, padding, aligned)
        return Taps(op.cast_like(index, taps.index), taps.weight)
    kept = inside(op, taps, size)
    # Past the border a position was moved onto, a tap has the border's value, whatever its weight.
    return kept if padding == "zeros" else Taps(kept.index, taps.weight)


def _into(op: Emitter, position: Tensor, length: Tensor, padding: str, aligned: bool) -> Tensor:
    """Positions moved into the axis: reflected at its borders, or onto its first and last element."""
    if padding == "zeros":
        return position
    if padding == "reflection":
        low, span = (0.0, op.Sub(length, 1.0)) if aligned else (-0.5, length)
        beyond = op.Abs(op.Sub(position, low))
        turns = op.Floor(op.Div(beyond, op.Max(span, 1.0)))
        rest = op.Sub(beyond, op.Mul(turns, span))
        odd = op.Sub(turns, op.Mul(op.Floor(op.Mul(turns, 0.5)), 2.0))
        position = op.Add(op.Add(rest, op.Mul(odd, op.Sub(span, op.Mul(rest, 2.0)))), low)
    return clamp(op, position, op.Sub(length, 1.0))


@gradient_of("AffineGrid")
def affine_grid(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = theta [p, 1] at the positions p of a regular grid: d theta = sum g [p, 1]^T.

    The positions are what the node itself makes of the identity.
    """
    theta, size = node.inputs
    axes = theta.shape[1] if theta.shape and isinstance(theta.shape[1], int) else rank(node.outputs[0]) - 2
    identity = constant(op, np.eye(axes, axes + 1)[None], theta)
    one = op.Concat(op.tensor([1]), op.Slice(size, [1], [2**62], [0]), axis=0)
    grid = op.Reshape(op.AffineGrid(identity, one, align_corners=node.attrs["align_corners"]), [-1, axes])
    points = pad(op, grid, [0, 0, 0, 1], constant(op, 1, theta))
    flat = op.Transpose(op.Reshape(grad, [0, -1, axes]), perm=[0, 2, 1])
    return [op.declare(op.MatMul(flat, points), theta), None]
