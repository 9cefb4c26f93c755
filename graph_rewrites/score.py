"""What is explained: a scalar per sample, taken from the model's outputs."""

from __future__ import annotations

from dataclasses import dataclass

from .emit import Emitter
from .errors import OnnxplainError, UsageError, closest
from .model_file import Model
from .tensors import Tensor, is_float

# Selvaraju et al. 2017, section 3: "the score for class c, y^c (before the softmax)".
SQUASHERS = ("Softmax", "LogSoftmax", "Sigmoid")
# Operators between the squashing and the output that only rename, retype or reshape.
TRANSPARENT = ("Identity", "Cast", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze")


@dataclass(frozen=True)
class Logits:
    """The class scores: `tensor` [N, classes(, 1, ...)], the output they lead to, and what squashes them there.

    `is_output`: the tensor is that output itself, as a matrix.
    """

    tensor: Tensor
    output: str
    squashed_by: str | None
    is_output: bool


def find_logits(model: Model, output: str | None = None) -> Logits:
    """Finds the class scores behind an output (the only float one, unless named).

    Raises:
        UsageError: several outputs and none named, or an unknown one.
        OnnxplainError: the output holds no floats, or not one score per class.
    """
    outputs = {tensor.name: tensor for tensor in model.graph.outputs}
    floats = [name for name, tensor in outputs.items() if is_float(tensor)]
    if output is None:
        if not floats:
            raise OnnxplainError(
                f"{model.name}: none of the outputs {list(outputs)} holds floats; nothing has a gradient"
            )
        if len(floats) > 1:
            raise UsageError(f"{model.name}: several outputs; choose one with score= (--score): {', '.join(floats)}")
        output = floats[0]
    if output not in outputs:
        raise UsageError(f"{model.name}: no output {output!r}; {closest(output, outputs)}")
    if output not in floats:
        raise OnnxplainError(f"{model.name}: output {output!r} holds no floats, so it has no gradient; choose another")

    tensor, squashed_by = outputs[output], None
    inner = tensor
    while len(inner.inputs) == 1 and inner.inputs[0].op in TRANSPARENT and is_float(inner.inputs[0].inputs[0]):
        inner = inner.inputs[0].inputs[0]
    if len(inner.inputs) == 1 and inner.inputs[0].op in SQUASHERS:
        tensor, squashed_by = inner.inputs[0].inputs[0], inner.inputs[0].op
    shape = tensor.shape
    if shape is None or len(shape) < 1 or any(size != 1 for size in shape[2:]):
        raise OnnxplainError(
            f"{model.name}: output {output!r} has shape {shape}, not one score per class [N, classes]; choose another "
            "output with score= (--score)"
        )
    return Logits(tensor, output, squashed_by, tensor.name == output and len(shape) == 2)


def as_matrix(op: Emitter, logits: Tensor) -> Tensor:
    """The logits as [rows, classes]; an output [N] is one class."""
    if len(logits.shape) == 2:
        return logits
    return op.Reshape(logits, [-1, 1]) if len(logits.shape) == 1 else op.Flatten(logits, axis=1)


def class_score(op: Emitter, logits: Tensor, target: Tensor) -> Tensor:
    """The score of one class per row.

    Args:
        op: appends the nodes.
        logits: [rows, classes].
        target: int64 [N, K] with N*K = rows: class indices; -1 is a row's top class, -2 its second, ...

    Returns:
        [rows, 1].
    """
    wanted = op.Reshape(target, [-1, 1])
    wanted.shape = [logits.shape[0], 1]
    place = op.Max(op.Sub(op.Neg(wanted), 1), 0)  # how many classes of the row score higher
    most = op.Add(op.reduce("ReduceMax", place, [0, 1], keepdims=False), 1)
    count = op.Min(op.Reshape(most, [1]), op.size(logits, 1))
    _, order = op.TopK(logits, count, outputs=2, axis=1)
    by_place = op.GatherElements(order, place, axis=1)
    index = op.Where(op.Less(wanted, 0), by_place, wanted)
    return op.GatherElements(logits, index, axis=1)
