"""Scores written as an expression of an output, in numpy's notation.

    detections[:, 4:, 17]                   the class scores of box 17 of [N, 4 + classes, boxes]
    max(detections[:, 4:], axis=2)          each class's best box
    segmentation[:, :, 10, 20]              the class scores of one pixel of [N, classes, H, W]
    masked(segmentation)                    their mean over a mask, which becomes the model's input `mask` [N, H, W]
    predicted(segmentation)                 their mean over the pixels where the class is the predicted one
    sequence(logits)                        log-probabilities of words, the model's input `words`, see below
    similarity(embedding)                   the cosine with the model's input `reference` [N, D]
    sum("some/output:0")                    everything, summed; names that are no identifiers stand in quotes

The first axis is the batch and stays whole; an output of a model of one image may lack it, and is taken as it is then.
What remains is [N, classes], of which `target` picks, or [N], one class.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from onnx import TensorProto

from ...build.emitter import END, Emitter
from ...errors import OnnxplainError, UsageError, closest
from ...graph.tensors import Tensor, dtype_of, is_float

Function: TypeAlias = Callable[[Emitter, Tensor], Tensor]
REDUCTIONS = {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax"}
FUNCTIONS: dict[str, Function] = {}


def score_function(function: Function) -> Function:
    """Registers a function of one output, `(op, tensor [N, ...]) -> [N, classes]`, under its name.

    Raises:
        ValueError: there is one of this name already.
    """
    if function.__name__ in (*REDUCTIONS, *FUNCTIONS):
        raise ValueError(f"a score function named {function.__name__!r} is registered already")
    FUNCTIONS[function.__name__] = function
    return function


def is_expression(text: str) -> bool:
    """Whether the text is written as an expression and not as a plain name."""
    return any(sign in text for sign in "[(") and _parsed(text) is not None


def emit_expression(
    op: Emitter, text: str, outputs: Mapping[str, Tensor], base: Callable[[str], tuple[Tensor, bool]]
) -> tuple[str, Tensor]:
    """Appends what the expression says.

    Args:
        op: appends the nodes.
        text: the expression.
        outputs: the model's outputs.
        base: what is taken for an output by name, the tensor before a final softmax or sigmoid; and whether its first
            axis is the samples', or it has none for them.

    Returns:
        The name of the output, and the class scores [N, classes].

    Raises:
        UsageError: an expression that is not understood, or an unknown output.
        OnnxplainError: an output that holds no floats, or a result that is not one score per class.
    """
    tree = _parsed(text)
    function, axes = None, None
    if isinstance(tree, ast.Call):
        function, axes = _call(text, tree)
        (tree,) = tree.args
    index = None
    if isinstance(tree, ast.Subscript):
        index, tree = tree.slice, tree.value
    name = tree.id if isinstance(tree, ast.Name) else tree.value if isinstance(tree, ast.Constant) else None
    if not isinstance(name, str):
        raise _not_understood(text)
    if name not in outputs:
        raise UsageError(f"score {text!r}: no output {name!r}; {closest(name, outputs)}")
    if not is_float(outputs[name]):
        raise OnnxplainError(f"score {text!r}: output {name!r} holds no floats, so it has no gradient")
    tensor, has_samples = base(name)
    tensor = outputs[name] if function == "similarity" else tensor
    if function in FUNCTIONS and not has_samples:
        tensor, has_samples = op.Unsqueeze(tensor, [0]), True
    if dtype_of(tensor) in (TensorProto.FLOAT16, TensorProto.BFLOAT16):  # in which sums over pixels overflow
        tensor = op.Cast(tensor, to=TensorProto.FLOAT)
    if index is not None:
        tensor = _indexed(op, text, tensor, index, has_samples)
    if function in FUNCTIONS:
        tensor = FUNCTIONS[function](op, tensor)
    elif function is not None:
        rank = len(tensor.shape)
        first = int(has_samples)
        chosen = list(range(first, rank)) if axes is None else [axis + rank * (axis < 0) for axis in axes]
        if any(not first <= axis < rank for axis in chosen):
            raise UsageError(f"score {text!r}: axis must name axes after the first; there are {rank}")
        tensor = _reduced(op, function, tensor, chosen) if chosen else tensor
    if not has_samples:
        tensor = op.Unsqueeze(tensor, [0])
    if len(tensor.shape) == 1:
        tensor = op.Unsqueeze(tensor, [1])
    if len(tensor.shape) != 2:
        raise OnnxplainError(
            f"score {text!r} has shape {tensor.shape}, not one score per class [N, classes]; index or reduce more axes"
        )
    return name, tensor


@score_function
def sequence(op: Emitter, tensor: Tensor) -> Tensor:
    """The log-probabilities of a sequence and of its words, under [N, T, vocabulary]: [N, 1 + T].

    The new input `words`, int64 [N, T], holds the word to be scored at each step; -1 scores none, behind the end of
    shorter sequences. Class 0 is the whole sequence, the sum over its words; class t is the t-th word.
    """
    if len(tensor.shape) != 3:
        raise OnnxplainError(
            f"output {tensor.name!r} has shape {tensor.shape}, not [N, T, vocabulary]; choose the output that "
            "scores the words at each step"
        )
    words = op.input("words", np.dtype(np.int64), list(tensor.shape[:2]))
    chosen = op.Unsqueeze(op.Max(words, 0), [2])
    steps = op.Squeeze(op.GatherElements(op.LogSoftmax(tensor, axis=2), chosen, axis=2), [2])
    steps = op.Where(op.GreaterOrEqual(words, 0), steps, op.zeros_like(steps))
    return op.Concat(op.ReduceSum(steps, [1], keepdims=1), steps, axis=1)


@score_function
def similarity(op: Emitter, tensor: Tensor) -> Tensor:
    """The cosine of [N, D] with the new input `reference` [N, D]: [N, 1]."""
    flat = tensor if len(tensor.shape) == 2 else op.Flatten(tensor, axis=1)
    reference = op.cast_like(op.input("reference", np.dtype(np.float32), list(flat.shape)), flat)

    def unit(vector: Tensor) -> Tensor:
        length = op.Sqrt(op.ReduceSum(op.Mul(vector, vector), [1], keepdims=1))
        return op.Div(vector, op.Max(length, 1e-8))

    return op.ReduceSum(op.Mul(unit(flat), unit(reference)), [1], keepdims=1)


def _reduced(op: Emitter, function: str, tensor: Tensor, axes: list[int]) -> Tensor:
    """The sum, mean or maximum over axes; over nothing, such as no boxes, a mean is minus infinity as a maximum is."""
    result = op.reduce(REDUCTIONS[function], tensor, axes, keepdims=False)
    if function != "mean" or all(isinstance(tensor.shape[axis], int) for axis in axes):
        return result
    is_empty = op.Equal(op.reduce("ReduceMin", op.sizes(tensor, axes), [0], keepdims=False), 0)
    return op.Where(is_empty, _nothing(op, result), result)


def _nothing(op: Emitter, like: Tensor) -> Tensor:
    """The score of what is not there, such as a box."""
    return op.cast_like(op.constant(np.array(-np.inf, np.float32)), like)


def _picked(op: Emitter, tensor: Tensor, axis: int, at: int) -> Tensor:
    """One position of an axis, which is dropped; where it may not be there, `_nothing`."""
    part = op.Slice(tensor, [at], [END if at == -1 else at + 1], [axis])
    if isinstance(tensor.shape[axis], int):
        return part
    is_there = op.Equal(op.size(part, axis), 1)
    return op.Where(is_there, op.reduce("ReduceSum", part, [axis]), _nothing(op, part))


def _indexed(op: Emitter, text: str, tensor: Tensor, index: ast.expr, has_samples: bool) -> Tensor:
    """The tensor at a numpy index of integers and slices."""
    entries = list(index.elts) if isinstance(index, ast.Tuple) else [index]
    rank = len(tensor.shape or [])
    whole = isinstance(entries[0], ast.Slice) and not (entries[0].lower or entries[0].upper or entries[0].step)
    if (has_samples and not whole) or len(entries) > rank:
        raise UsageError(f"score {text!r}: the index of a tensor of {rank} axes begins with ':', for the batch")
    squeezed = []
    for axis, entry in enumerate(entries):
        size = tensor.shape[axis]
        if isinstance(entry, ast.Slice):
            start, stop, step = (_integer(text, part) for part in (entry.lower, entry.upper, entry.step))
            if (start, stop, step) != (None, None, None):
                step = 1 if step is None else step
                start = (0 if step > 0 else END) if start is None else start
                stop = (END if step > 0 else -END) if stop is None else stop
                tensor = op.Slice(tensor, [start], [stop], [axis], [step])
                if tensor.shape[axis] == 0:
                    raise UsageError(f"score {text!r}: nothing of axis {axis}, of size {size}, is left")
        else:
            at = _integer(text, entry)
            if at is None or (isinstance(size, int) and not -size <= at < size):
                raise UsageError(f"score {text!r}: index {at} is out of range for axis {axis} of size {size}")
            tensor = _picked(op, tensor, axis, at)
            squeezed.append(axis)
    return op.Squeeze(tensor, squeezed) if squeezed else tensor


def _call(text: str, tree: ast.Call) -> tuple[str, list[int] | None]:
    known = [*REDUCTIONS, *FUNCTIONS]
    name = tree.func.id if isinstance(tree.func, ast.Name) else ""
    if name not in known:
        raise UsageError(f"score {text!r}: no function {name!r}; {closest(name, known)}")
    given = {keyword.arg: keyword.value for keyword in tree.keywords}
    if len(tree.args) != 1 or (given and (set(given) != {"axis"} or name not in REDUCTIONS)):
        raise _not_understood(text)
    if not given:
        return name, None
    axes = given["axis"].elts if isinstance(given["axis"], ast.Tuple) else [given["axis"]]
    return name, [_integer(text, axis) or 0 for axis in axes]


def _integer(text: str, node: ast.expr | None) -> int | None:
    if node is None:
        return None
    try:
        value: Any = ast.literal_eval(node)
    except ValueError:
        value = None
    if not isinstance(value, int) or isinstance(value, bool):
        raise _not_understood(text)
    return value


def _parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return None


def _not_understood(text: str) -> UsageError:
    return UsageError(
        f"score {text!r} is not understood; write output, output[:, 3], max(output[:, 4:], axis=2) or masked(output)"
    )
