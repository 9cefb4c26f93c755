"""Matrix products."""

from __future__ import annotations

from ....build.emitter import Emitter
from ....graph.tensors import Tensor, rank, value_of
from ...lib.shared_weights import own_weight
from ...reverse import Gradient, Node, gradient_of


@gradient_of("MatMul")
def matmul(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dA = g B^T, dB = A^T g on the last two axes; a vector counts as a row on the left, as a column on the right."""
    a, b = node.inputs
    a_is_vector, b_is_vector = rank(a) == 1, rank(b) == 1
    rows = op.Unsqueeze(a, [0]) if a_is_vector else a
    columns = op.Unsqueeze(b, [1]) if b_is_vector else b
    if b_is_vector:
        grad = op.Unsqueeze(grad, [-1])
    if a_is_vector:
        grad = op.Unsqueeze(grad, [-2])

    def da() -> Tensor:
        result = op.MatMul(grad, _transposed(op, own_weight(op, columns)))
        return op.Squeeze(result, [-2]) if a_is_vector else result

    def db() -> Tensor:
        if rank(rows) > 2 and rank(columns) == 2:
            # One product over all rows instead of one a batch that is then summed.
            result = op.Gemm(op.Flatten(rows, axis=-1), op.Flatten(grad, axis=-1), transA=1)
        else:
            result = op.MatMul(_transposed(op, own_weight(op, rows)), grad)
        return op.Squeeze(result, [-1]) if b_is_vector else result

    return [da, db]


@gradient_of("Gemm")
def gemm(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """Y = alpha*A'B' + beta*C, A' being A or its transpose: dA' = alpha*g B'^T, dB' = alpha*A'^T g, dC = beta*g."""
    a, b = node.inputs[:2]
    alpha, beta = node.attrs["alpha"], node.attrs["beta"]
    a_flipped, b_flipped = node.attrs["transA"], node.attrs["transB"]

    def da() -> Tensor:
        if a_flipped:
            return op.Gemm(own_weight(op, b), grad, alpha=alpha, transA=b_flipped, transB=1)
        if (single := _single_column(grad)) is not None:  # one class's score: its weights, without a matrix product
            column, values = single
            weights = op.Gather(b, op.Reshape(column, [-1]), axis=0 if b_flipped else 1)
            weights = weights if b_flipped else _transposed(op, weights)
            return op.Mul(weights, values if alpha == 1 else op.Mul(values, alpha))
        return op.Gemm(grad, own_weight(op, b), alpha=alpha, transB=1 - b_flipped)

    def db() -> Tensor:
        if b_flipped:
            return op.Gemm(grad, own_weight(op, a), alpha=alpha, transA=1, transB=a_flipped)
        return op.Gemm(own_weight(op, a), grad, alpha=alpha, transA=1 - a_flipped)

    return [da, db, lambda: grad if beta == 1 else op.Mul(grad, beta)][: len(node.inputs)]


def _single_column(grad: Tensor) -> tuple[Tensor, Tensor] | None:
    """Column and value [rows, 1] of a matrix with one value in each row, as the gradient of GatherElements makes it."""
    maker = grad.inputs[0] if grad.inputs else None
    if maker is None or maker.op != "ScatterElements" or maker.attrs["axis"] != 1 or rank(grad) != 2:
        return None
    base, column, values = maker.inputs
    one_per_row = None not in (column.shape or [None]) and list(column.shape) == [grad.shape[0], 1]
    return (column, values) if one_per_row and _is_zeros(base) else None


def _is_zeros(tensor: Tensor) -> bool:
    """Whether the tensor is an expanded zero."""
    maker = tensor.inputs[0] if tensor.inputs else None
    value = value_of(maker.inputs[0]) if maker is not None and maker.op == "Expand" else None
    return value is not None and not value.any()


def _transposed(op: Emitter, tensor: Tensor) -> Tensor:
    """The tensor with its last two axes swapped."""
    *batch, row, column = range(rank(tensor))
    return op.Transpose(tensor, perm=[*batch, column, row])
