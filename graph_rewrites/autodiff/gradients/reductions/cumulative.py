"""Running sums and products along an axis."""

from __future__ import annotations

from ....build.emitter import Emitter
from ....graph.tensors import Tensor
from ...reverse import Gradient, Node, gradient_of
from .reductions import Factors


@gradient_of("CumSum")
def cum_sum(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = the running sum of g, from the other end."""
    _, axis = node.inputs
    attrs = node.attrs
    return [op.CumSum(grad, axis, exclusive=attrs["exclusive"], reverse=1 - attrs["reverse"]), None]


@gradient_of("CumProd")
def cum_prod(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx_i = sum of g_j times the product of the others in y_j, over the j whose product x_i is in.

    Where x_i is not 0 that is y_j/x_i. Where it is: with zeros taken as ones y_j is p_j; among the others of y_j there
    is no zero (p_j), one (p_j times that zero: 0, of a derivative that a second application needs) or more (0).
    """
    x, axis = node.inputs
    exclusive, reverse = node.attrs["exclusive"], node.attrs["reverse"]
    filled, zero, value = Factors(op, x).parts

    def tail(terms: Tensor) -> Tensor:
        return op.CumSum(op.Mul(grad, terms), axis, exclusive=exclusive, reverse=1 - reverse)

    zeros, values = (op.CumSum(part, axis, exclusive=exclusive, reverse=reverse) for part in (zero, value))
    p = op.CumProd(filled, axis, exclusive=exclusive, reverse=reverse)
    alone, two = (op.Mul(p, op.cast_like(op.is_zero(op.Sub(zeros, count)), p)) for count in (1.0, 2.0))
    at_zero = op.Sub(tail(op.Add(alone, op.Mul(two, values))), op.Mul(value, tail(two)))
    return [op.Where(op.is_zero(x), at_zero, op.Div(tail(node.outputs[0]), filled)), None]
