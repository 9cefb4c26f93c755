"""Reductions over axes. Every rule brings y and g to the shape that keepdims=1 gives them, which broadcasts over x."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ....build.builder import Operand
from ....build.emitter import Emitter
from ....graph.tensors import Tensor, is_static, rank, value_of
from ...lib.singularities import masked_at_zero, settled
from ...reverse import Gradient, Node, gradient_of


@gradient_of("ReduceSum")
def reduce_sum(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g."""
    return _gradient(node, op.expand_like(_kept(op, node, grad), node.inputs[0]))


@gradient_of("ReduceMean")
def reduce_mean(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g/n for n elements a group."""
    x = node.inputs[0]
    share = op.Div(grad, group_size(op, x, node.outputs[0], _static_axes(node)))
    return _gradient(node, op.expand_like(_kept(op, node, share), x))


@gradient_of("ReduceMax", "ReduceMin")
def reduce_extremum(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g at the extremum; elements that tie share g evenly (as `torch.amax`)."""
    x, y = node.inputs[0], _kept(op, node, node.outputs[0])
    reaches = op.GreaterOrEqual if node.op_type == "ReduceMax" else op.LessOrEqual
    mask = op.cast_like(reaches(x, y), grad)
    share = op.Div(_kept(op, node, grad), _reduce(op, node, "ReduceSum", mask))
    return _gradient(node, settled(op, node, share, op.Mul(share, mask)))


@gradient_of("ReduceProd")
def reduce_prod(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx_i = g times the product of the others, see `Factors`."""
    factors = Factors(op, node.inputs[0])
    product, zeros, sums = (
        _reduce(op, node, op_type, tensor)
        for op_type, tensor in zip(("ReduceProd", "ReduceSum", "ReduceSum"), factors.parts, strict=True)
    )
    return _gradient(node, op.Mul(_kept(op, node, grad), factors.product_of_others(product, zeros, sums)))


class Factors:
    """The factors x of some products, split so that each one can be divided out, zeros too.

    `parts` are x with its zeros taken as ones, 1 at the zeros, and x at the zeros: 0, but it carries their derivative.
    The others' product is p/x_i without a zero among them (p: the product of the first part); with one it is that zero
    times p/x_i: 0, of a derivative that a second application needs; with more it is 0.
    """

    def __init__(self, op: Emitter, x: Tensor) -> None:
        is_zero = op.is_zero(x)
        zero = op.cast_like(is_zero, x)
        self._op, self.parts = op, (op.Where(is_zero, op.tensor(1.0, x), x), zero, op.Mul(x, zero))

    def product_of_others(self, product: Tensor, zeros: Tensor, sums: Tensor) -> Tensor:
        """For each factor that of the others, from the product of the first part and the sums of the other two."""
        op, (filled, zero, value) = self._op, self.parts
        other_zeros = op.Sub(zeros, zero)
        none, one = (op.cast_like(op.is_zero(op.Sub(other_zeros, count)), filled) for count in (0.0, 1.0))
        return op.Mul(op.Div(product, filled), op.Add(none, op.Mul(one, op.Sub(sums, value))))


@gradient_of("ReduceL1")
def reduce_l1(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g*sign(x), 0 at 0."""
    return _gradient(node, op.Mul(_kept(op, node, grad), op.Sign(node.inputs[0])))


@gradient_of("ReduceL2")
def reduce_l2(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g*x/y, 0 where y = 0 (as `torch.linalg.norm`)."""
    y = node.outputs[0]
    return _gradient(node, op.Mul(_kept(op, node, op.Div(grad, op.divisor(y))), node.inputs[0]))


@gradient_of("ReduceSumSquare")
def reduce_sum_square(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = 2*g*x."""
    return _gradient(node, op.Mul(_kept(op, node, op.Mul(grad, 2.0)), node.inputs[0]))


@gradient_of("ReduceLogSum")
def reduce_log_sum(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """y = log(s): dx = g/s = g*exp(-y)."""
    share = masked_at_zero(op, grad, op.Mul(grad, op.Exp(op.Neg(node.outputs[0]))))
    return _gradient(node, op.expand_like(_kept(op, node, share), node.inputs[0]))


@gradient_of("ReduceLogSumExp")
def reduce_log_sum_exp(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g*exp(x - y)."""
    weights = op.Exp(op.Sub(node.inputs[0], _kept(op, node, node.outputs[0])))
    return _gradient(node, op.Mul(_kept(op, node, grad), weights))


def group_size(op: Emitter, x: Tensor, y: Tensor, axes: Sequence[int] | None) -> Operand:
    """How many elements of x go into each of y (over `axes`, where known): a number, or a scalar found at run time."""
    if axes is not None and x.shape is not None and all(isinstance(x.shape[axis], int) for axis in axes):
        return float(math.prod(x.shape[axis] for axis in axes))
    if is_static(x) and is_static(y):
        return math.prod(x.shape) / max(math.prod(y.shape), 1)
    # Not Size: from opset 19 on, ONNX Runtime would copy the whole tensor from CUDA for it.
    counts = [op.reduce("ReduceProd", op.shape(tensor), [0], keepdims=False) for tensor in (x, y)]
    return op.cast_like(op.Div(*counts), x)


def _gradient(node: Node, dx: Tensor) -> list[Gradient]:
    return [dx, None][: len(node.inputs)]


def _axes(node: Node) -> Tensor | list[int] | None:
    """The axes: numbers where known (attribute or constant input), a tensor otherwise, None where left out."""
    given = node.inputs[1] if len(node.inputs) > 1 else node.attrs.get("axes")
    if given is None or isinstance(given, list):
        return given
    values = value_of(given)
    return given if values is None else [int(axis) for axis in values]


def _static_axes(node: Node) -> Sequence[int] | None:
    """The axes as numbers; None where run time decides."""
    axes = _axes(node)
    if isinstance(axes, list) and axes:
        return axes
    if axes is None or isinstance(axes, list):
        return [] if node.attrs.get("noop_with_empty_axes") else range(rank(node.inputs[0]))
    return None


def _kept(op: Emitter, node: Node, tensor: Tensor) -> Tensor:
    """A tensor of the output's shape with its reduced axes back, as size 1."""
    if node.attrs["keepdims"]:
        return tensor
    axes = _static_axes(node)
    if axes is None:
        # At run time an empty list may mean "all axes": the scalar that it leaves broadcasts as it is.
        return op.Unsqueeze(tensor, _axes(node))
    return op.Unsqueeze(tensor, list(axes)) if axes else tensor


def _reduce(op: Emitter, node: Node, op_type: str, tensor: Tensor) -> Tensor:
    """Another reduction over the node's axes, which are kept as size 1."""
    axes = _static_axes(node)
    if axes is None:
        noop = node.attrs["noop_with_empty_axes"]
        return op.emit(op_type, tensor, _axes(node), keepdims=1, noop_with_empty_axes=noop)
    return op.reduce(op_type, tensor, axes) if axes else tensor
