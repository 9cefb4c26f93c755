"""Einsum: the gradient of an operand is an Einsum again, of the output's gradient and the other operands."""

from __future__ import annotations

import string
from functools import partial
from itertools import chain

from ....build.emitter import Emitter
from ....errors import OnnxplainError
from ....graph.tensors import Tensor, rank
from ...lib.matrices import identity_matrix
from ...reverse import Gradient, Node, gradient_of


@gradient_of("Einsum")
def einsum(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx_k[subscripts of k] = sum of g[output's subscripts] * product of the other operands, over all other subscripts.

    Along a subscript that no other term has, the operand was summed: there dx_k is constant. Where an operand repeats a
    subscript, its diagonal was taken: off the diagonal dx_k is 0.
    """
    terms, output = subscripts(node)

    def dx(k: int) -> Tensor:
        x, term = node.inputs[k], terms[k]
        others = [(terms[i], node.inputs[i]) for i in range(len(terms)) if i != k]
        factors = [(output, grad), *others] if output else others  # a scalar g multiplies afterwards
        present = set(chain.from_iterable(letters for letters, _ in factors))
        kept = "".join(letter for letter in dict.fromkeys(term) if letter in present)
        result = _contract(op, factors, kept)
        result = result if output else grad if result is None else op.Mul(result, grad)
        unique = "".join(dict.fromkeys(term))
        missing = [axis for axis, letter in enumerate(unique) if letter not in kept]
        result = op.Unsqueeze(result, missing) if missing else result
        for axis, letter in enumerate(term):
            if letter in term[:axis]:
                distance, after = axis - term.index(letter), len(set(term[axis:]) - set(term[:axis]))
                result = op.Mul(op.Unsqueeze(result, [axis]), _diagonal(op, op.size(x, axis), distance, after, x))
        stretched = missing or _may_stretch(node, terms, term)
        return op.Expand(result, op.shape(x)) if stretched else op.declare(result, x)

    return [partial(dx, k) for k in range(len(terms))]


def subscripts(node: Node) -> tuple[list[str], str]:
    """The subscripts of each operand and of the output, an ellipsis spelt out in letters that the equation leaves free.

    Without an arrow the output has the ellipsis and then, in alphabetical order, the subscripts that occur once.
    """
    equation = node.attrs["equation"].replace(" ", "")
    inputs, arrow, output = equation.partition("->")
    terms = inputs.split(",")
    widths = [rank(x) - len(t.replace("...", "")) if "..." in t else 0 for t, x in zip(terms, node.inputs, strict=True)]
    free = [letter for letter in string.ascii_letters if letter not in equation]
    if max(widths) > len(free):
        raise OnnxplainError(f"Einsum (node {node.name!r}) has too many axes to name; split it in two")
    ellipsis = "".join(free[: max(widths)])
    if not arrow:
        once = sorted(letter for letter in set(inputs) - set(".,") if inputs.count(letter) == 1)
        output = "..." * ("..." in inputs) + "".join(once)
    # Ellipses are aligned at their last axis, as in broadcasting.
    spelt = [t.replace("...", ellipsis[len(ellipsis) - width :]) for t, width in zip(terms, widths, strict=True)]
    return spelt, output.replace("...", ellipsis)


def _contract(op: Emitter, factors: list[tuple[str, Tensor]], kept: str) -> Tensor | None:
    """The product of the factors summed over all subscripts but `kept`; None without factors."""
    if not factors:
        return None
    if [letters for letters, _ in factors] == [kept]:
        return factors[0][1]
    return op.Einsum(*(x for _, x in factors), equation=f"{','.join(letters for letters, _ in factors)}->{kept}")


def _diagonal(op: Emitter, size: Tensor, distance: int, after: int, like: Tensor) -> Tensor:
    """1 where the indices of two axes `distance` apart are equal, else 0; shaped with `after` axes of size 1 behind."""
    matrix = identity_matrix(op, size, like)
    beside = [*range(1, distance), *range(distance + 1, distance + 1 + after)]
    return op.Unsqueeze(matrix, beside) if beside else matrix


def _may_stretch(node: Node, terms: list[str], term: str) -> bool:
    """Whether an axis of one of the operands may have been broadcast along a subscript of `term`."""
    sizes: dict[str, set[int | str | None]] = {letter: set() for letter in term}
    for letters, x in zip(terms, node.inputs, strict=True):
        for letter, size in zip(letters, x.shape or [None] * len(letters), strict=True):
            if letter in sizes:
                sizes[letter].add(size)
    return any(len(found) > 1 or None in found for found in sizes.values())
