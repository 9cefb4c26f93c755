"""Arithmetic, selection and type conversion, element by element with broadcasting."""

from __future__ import annotations

from functools import reduce

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, value_of
from ...lib.singularities import masked, masked_at_zero, settled
from ...reverse import Gradient, Node, gradient_of


@gradient_of("Add")
def add(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = dy = g."""
    return [grad, grad]


@gradient_of("Sub")
def sub(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g, dy = -g."""
    return [grad, lambda: op.Neg(grad)]


@gradient_of("Mul")
def mul(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g*y, dy = g*x."""
    x, y = node.inputs
    return [lambda other=other: settled(op, node, grad, op.Mul(grad, other)) for other in (y, x)]


@gradient_of("Div")
def div(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """z = x/y: dx = g/y, dy = -g*z/y."""
    _, y = node.inputs
    (z,) = node.outputs
    dx, known = op.Div(grad, y), value_of(y)
    if known is not None and known.all():
        return [dx, lambda: settled(op, node, grad, op.Neg(op.Mul(dx, z)))]
    return [
        lambda: masked_at_zero(op, grad, dx),
        lambda: settled(op, node, grad, masked_at_zero(op, grad, op.Neg(op.Mul(dx, z)))),
    ]


@gradient_of("Mod")
def mod(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """z = x - y*q with the rounded quotient q: dx = g, dy = -g*q; q = (x - z)/y, a whole number up to rounding."""
    x, y = node.inputs
    (z,) = node.outputs
    return [grad, lambda: settled(op, node, grad, op.Neg(op.Mul(grad, op.Round(op.Div(op.Sub(x, z), y)))))]


@gradient_of("Pow")
def pow_(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """z = x^p: dx = g*p*x^(p-1), 0 where p = 0; dp = g*z*log(x), 0 where x = 0 and p >= 0 (both as PyTorch)."""
    x, exponent = node.inputs
    (z,) = node.outputs
    constant = value_of(exponent)
    p = op.cast_like(exponent, x)  # may be an integer, or a float of another width

    def dx() -> Tensor:
        if constant is not None and constant.size == 1:
            number = float(constant.reshape(()))
            if number in (1.0, 2.0):
                return settled(op, node, grad, op.Mul(grad, op.Mul(x, 2.0) if number == 2.0 else p))
        # Where p = 0 the power is taken to 1 instead, so that 0 * 0^-1 is 0 and not NaN.
        nonzero = op.divisor(p)
        slope = op.Mul(p, op.Pow(x, op.Sub(nonzero, 1.0)))
        return settled(op, node, grad, masked_at_zero(op, grad, op.Mul(grad, slope)))

    def dp() -> Tensor:
        # log(1) = 0 stands for log(0) where the limit of x^p log(x), or PyTorch's choice for it, is 0.
        guarded = op.And(op.is_zero(x), op.GreaterOrEqual(p, 0.0))
        log = op.Log(op.Add(op.cast_like(guarded, x), x))
        return op.cast_like(settled(op, node, grad, masked_at_zero(op, grad, op.Mul(grad, op.Mul(z, log)))), exponent)

    return [dx, dp]


@gradient_of("Sum")
def sum_(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx_i = g."""
    return [grad] * len(node.inputs)


@gradient_of("Mean")
def mean(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx_i = g/n for n inputs."""
    share = op.Div(grad, float(len(node.inputs)))
    return [share] * len(node.inputs)


@gradient_of("Max", "Min")
def extremum(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx_i = g where x_i is the extremum; inputs that tie share g evenly (as `torch.maximum`)."""
    if len(node.inputs) == 1:
        return [grad]
    (y,) = node.outputs
    reaches = op.GreaterOrEqual if node.op_type == "Max" else op.LessOrEqual
    masks = [op.cast_like(reaches(x, y), grad) for x in node.inputs]
    share = op.Div(grad, reduce(op.Add, masks))
    return [settled(op, node, share, op.Mul(share, mask)) for mask in masks]


@gradient_of("Where")
def where(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g where the condition holds, dy = g elsewhere; selected, not multiplied: an infinite g leaves no NaN."""
    condition, _, _ = node.inputs
    zero = op.tensor(0.0, grad)
    return [None, lambda: op.Where(condition, grad, zero), lambda: op.Where(condition, zero, grad)]


@gradient_of("Clip")
def clip(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g where min <= x <= max, bounds included (as `torch.clamp`); dmin = g where x < min, dmax = g where x > max.

    Where min > max, y = max: dmax = g, the others get none. With a constant 0 as min it is a ReLU or ReLU6, and passes
    nothing at its bounds, as those of PyTorch: dx = g where 0 < y < max.
    """
    x, lower, upper = [*node.inputs, None, None][:3]
    (y,) = node.outputs
    least = value_of(node.source.inputs[1]) if lower is not None else None  # as it is in the file, before any cast
    is_relu = least is not None and not least.any()

    def where(*conditions: Tensor) -> Tensor:
        return masked(op, node, grad, reduce(op.And, conditions)) if conditions else grad

    def dx() -> Tensor:
        if is_relu:
            # Asked of y: then the Clip alone reads x, and ONNX Runtime merges it into the Conv that makes x.
            return where(op.Greater(y, lower), *([op.Less(y, upper)] if upper is not None else []))
        above = [op.GreaterOrEqual(x, lower)] if lower is not None else []
        below = [op.LessOrEqual(x, upper)] if upper is not None else []
        return where(*above, *below)

    def dlower() -> Tensor:
        return where(op.Less(x, lower), *([op.LessOrEqual(lower, upper)] if upper is not None else []))

    def dupper() -> Tensor:
        above = op.Greater(x, upper)
        return where(above if lower is None else op.Or(above, op.Greater(lower, upper)))

    return [dx, dlower, dupper][: len(node.inputs)]


@gradient_of("Identity")
def identity(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g."""
    return [grad]


@gradient_of("Cast", "CastLike")
def cast(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = g in the dtype of x; between floats only, since integers and booleans carry no gradient."""
    return [op.cast_like(grad, node.inputs[0]), None][: len(node.inputs)]
