"""Matrix products, reductions, attention and recurrent layers."""

from __future__ import annotations

from .labels import Label, Source, whole
from .step import Step, axes_of


@axes_of(
    *("MatMul", "Gemm", "com.microsoft::FusedMatMul", "QLinearMatMul", "MatMulInteger"),
    *("com.microsoft::QGemm", "com.microsoft::MatMulIntegerToFloat"),
)
def product(step: Step) -> list[Label]:
    """Rows of the first operand, columns of the second, and the leading axes of both."""
    second = 3 if step.node.op in ("QLinearMatMul", "QGemm") else 1
    a, b = step.labels(0), step.labels(second)
    if step.attrs.get("transA"):
        a = [*a[:-2], *a[:-3:-1]]
    if step.attrs.get("transB"):
        b = [*b[:-2], *b[:-3:-1]]
    constant_a, constant_b = step.is_constant(0), step.is_constant(second)
    rows: list[Label] = [step.made(-2)] if constant_a and len(a) > 1 else a[-2:-1]
    columns: list[Label] = [step.made(-1)] if constant_b and len(b) > 1 else b[-1:] if len(b) > 1 else []
    lead: list[Label] = [()] * (step.rank - len(rows if len(a) > 1 else []) - len(columns))
    for labels, is_constant in ((a[:-2], constant_a), (b[:-2], constant_b)):
        for at, label in enumerate(labels, len(lead) - len(labels)):
            lead[at] = lead[at] if is_constant else step.merge(lead[at], label)
    return [*lead, *(rows if len(a) > 1 else []), *columns]


@axes_of("Einsum")
def einsum(step: Step) -> list[Label]:
    """Each letter's axis."""
    letters = _letters(step)
    terms = letters.pop() if letters else []
    found: dict[str, Label] = {}
    for index, term in enumerate(letters):
        for letter, label in zip(term, step.labels(index), strict=True):
            found[letter] = step.merge(found[letter], label) if letter in found else label
    return [found.get(letter) for letter in terms] if len(terms) == step.rank else [None] * step.rank


def _letters(step: Step) -> list[list[str]]:
    """The letters of each operand and of the result; none where the equation leaves axes out or repeats one."""
    equation = str(step.attrs["equation"]).replace(" ", "")
    operands, arrow, result = equation.partition("->")
    terms = [*operands.split(","), result]
    unclear = not arrow or "." in equation or any(len(set(term)) < len(term) for term in terms)
    return [] if unclear else [list(term) for term in terms]


def contracted_letters(step: Step) -> list[Label]:
    """The labels of the axes that an Einsum sums over."""
    *operands, result = _letters(step) or [[]]
    pairs = [pair for i, term in enumerate(operands) for pair in zip(term, step.labels(i), strict=True)]
    return [label for letter, label in pairs if letter not in result]


@axes_of(
    *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"),
    *("ReduceLogSum", "ReduceLogSumExp", "ArgMax", "ArgMin"),
)
def reduction(step: Step) -> list[Label]:
    """The axes that are left."""
    labels = step.labels()
    gone = reduced_axes(step)
    if step.attrs.get("keepdims", 1):
        return [() if axis in gone else label for axis, label in enumerate(labels)]
    return [label for axis, label in enumerate(labels) if axis not in gone]


def reduced_axes(step: Step) -> set[int]:
    """The axes that a reduction sums up."""
    count = len(step.labels())
    if step.node.op in ("ArgMax", "ArgMin"):
        return {step.attrs["axis"] % count}
    axes = step.attrs.get("axes")
    if axes is None and len(step.node.inputs) > 1 and step.node.inputs[1].name:
        axes = step.value(1)
        if axes is None:
            return set(range(count))
    if axes is None or len(axes) == 0:
        return set() if step.attrs.get("noop_with_empty_axes") else set(range(count))
    return {int(axis) % count for axis in axes}


@axes_of("com.microsoft::Attention", "com.microsoft::MultiHeadAttention", "com.microsoft::QAttention", "Attention")
def attention(step: Step) -> list[Label]:
    """Batch and queries' positions; the values' channels are new."""
    labels = step.labels()
    if len(labels) != step.rank or step.rank not in (3, 4):
        return [None] * step.rank
    return [*labels[:-1], step.made(-1)]


def recurrent(step: Step, index: int) -> list[Label]:
    """Of the first output [steps, directions, batch, hidden], or batch first where the layout says so.

    The others, the last states, lack the steps.
    """
    first, second, _ = step.labels()
    out = step.node.outputs[index]
    rank = 3 if index else 4

    def made(axis: int) -> Label:
        return whole(Source(out.name, axis % rank, out.shape[axis] if out.shape is not None else None))

    if step.attrs.get("layout"):
        return [first, *([] if index else [second]), made(-2), made(-1)]
    return [*([] if index else [first]), made(-3), second, made(-1)]
