"""Running sums and products along an axis."""

from __future__ import annotations

from ..backward import Gradient, Node, gradient_of
from ..emit import Emitter
from ..tensors import Tensor


@gradient_of("CumSum")
def cum_sum(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = the running sum of g, from the other end."""
    _, axis = node.inputs
    attrs = node.attrs
    return [op.CumSum(grad, axis, exclusive=attrs["exclusive"], reverse=1 - attrs["reverse"]), None]


@gradient_of("CumProd")
def cum_prod(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx_i = sum of g_j*y_j/x_i over the j whose product x_i is in, right with any number of zeros.

    Only the first zero on the way has a gradient among and behind zeros: there y is taken with that zero as a one.
    """
    x, axis = node.inputs
    exclusive, reverse = node.attrs["exclusive"], node.attrs["reverse"]

    def tail(products: Tensor) -> Tensor:
        return op.CumSum(op.Mul(grad, products), axis, exclusive=exclusive, reverse=1 - reverse)

    is_zero = op.is_zero(x)
    zero, one, none = op.cast_like(is_zero, x), op.tensor(1.0, x), op.tensor(0.0, x)
    zeros_so_far = op.CumSum(zero, axis, exclusive=0, reverse=reverse)
    first = op.And(is_zero, op.Less(zeros_so_far, 1.5))
    without = op.CumProd(op.Where(first, one, x), axis, exclusive=exclusive, reverse=reverse)
    at_zeros = op.Where(first, tail(without), none)
    return [op.Where(is_zero, at_zeros, op.Div(tail(node.outputs[0]), op.Where(is_zero, one, x))), None]
