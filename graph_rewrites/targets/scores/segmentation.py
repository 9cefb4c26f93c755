"""Scores of segmentation models: means of class maps over pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from ...axes.labels import Label
from ...axes.trace import trace_axes
from ...build.emitter import Emitter
from ...errors import OnnxplainError
from ...graph.operator_traits import traits_of
from ...graph.tensors import Tensor, value_of
from .expression import score_function


@score_function
def masked(op: Emitter, tensor: Tensor) -> Tensor:
    """The mean of each class's map over the pixels of the new input `mask` [N, *spatial], weighted by its values."""
    tensor = _class_maps(op, tensor)
    mask = op.input("mask", np.dtype(np.float32), [tensor.shape[0], *tensor.shape[2:]])
    return _mean_over(op, tensor, op.cast_like(op.Unsqueeze(mask, [1]), tensor))


@score_function
def predicted(op: Emitter, tensor: Tensor) -> Tensor:
    """The mean of each class's map over the pixels where no class is larger; 0 without any.

    A single map is that of the foreground, against 0: the logit of one half.
    """
    tensor = _class_maps(op, tensor)
    if tensor.shape[1] == 1:
        return _mean_over(op, tensor, op.cast_like(op.Greater(tensor, decision_threshold(tensor)), tensor))
    largest = op.reduce("ReduceMax", tensor, [1])
    return _mean_over(op, tensor, op.cast_like(op.GreaterOrEqual(tensor, largest), tensor))


def decision_threshold(tensor: Tensor) -> float:
    """What a single map is larger than where its class is predicted: 0 for logits, one half behind a sigmoid.

    Behind the sigmoid, or the softmax of two classes, values may be moved, resized, clipped and scaled.

    Raises:
        OnnxplainError: one class of a softmax of more: the others are needed to tell what is predicted.
    """
    later: list[gs.Node] = []
    current = tensor
    while len(current.inputs) == 1:
        node = current.inputs[0]
        if node.op == "Sigmoid" or (node.op == "Softmax" and _size_along(node) in (1, 2)):
            return float(_carried(0.5, later))
        if node.op == "Softmax":
            raise OnnxplainError(
                f"{tensor.name!r} holds one class of {_size_along(node)}; predicted() needs the maps of all of them"
            )
        if node.op in SCALING:
            operands = [each for each in node.inputs if each.name and value_of(each) is None]
            if len(operands) != 1:
                return 0.0
            later.append(node)
            current = operands[0]
        elif traits_of(node).values or node.op in KEEPING:
            current = node.inputs[0]
        else:
            return 0.0
    return 0.0


SCALING = ("Clip", "Mul", "Add", "Sub", "Div", "Max", "Min")
KEEPING = ("Resize", "Upsample", "Slice", "Gather", "Split", "AveragePool", "DepthToSpace")


def _size_along(node: gs.Node) -> int | str | None:
    shape = node.inputs[0].shape
    return shape[node.attrs.get("axis", -1)] if shape else None


def _carried(value: float, later: list[gs.Node]) -> np.ndarray:
    """A value behind nodes that scale it, the last of them first; constants of several values count by their mean."""
    functions: dict[str, Callable[..., Any]] = {"Mul": np.multiply, "Add": np.add, "Sub": np.subtract}
    functions |= {"Div": np.divide, "Max": np.maximum, "Min": np.minimum, "Clip": np.clip}
    result = np.asarray(value)
    for node in reversed(later):
        constants = [value_of(each) for each in node.inputs]
        operands = [result if each is None else np.mean(each) for each in constants]
        if node.op == "Clip":
            operands += [-np.inf, np.inf][len(operands) - 1 :]
        result = np.asarray(functions[node.op](*operands))
    return result


def _class_maps(op: Emitter, tensor: Tensor) -> Tensor:
    """Maps of classes as [N, classes, *spatial]: the classes are the axis that is none of the input's.

    Raises:
        OnnxplainError: the graph does not tell which axis that is.
    """
    if len(tensor.shape) < 3:
        return tensor
    labels = trace_axes(op.model).of(tensor)[1:]
    others = [axis for axis, label in enumerate(labels, 1) if not _is_spatial(label)]
    if not others:
        return op.Unsqueeze(tensor, [1])
    if len(others) > 1:
        raise OnnxplainError(
            f"{op.model.name}: the graph does not tell which axis of {tensor.name!r} {list(tensor.shape)} holds the "
            "classes; write the score by its axes, such as mean(output[:, 0])"
        )
    return op.Transpose(tensor, perm=[0, others[0], *(a for a in range(1, len(tensor.shape)) if a != others[0])])


def _is_spatial(label: Label) -> bool:
    """Whether the axis goes through an axis of an input other than its samples, or through several."""
    return isinstance(label, tuple) and any(digit.source.image and digit.source.image[1] > 0 for digit in label)


def _mean_over(op: Emitter, tensor: Tensor, weights: Tensor) -> Tensor:
    axes = list(range(2, len(tensor.shape)))
    if not axes:
        raise OnnxplainError(
            f"output {tensor.name!r} has shape {tensor.shape}, no pixels; choose a segmentation output"
        )
    total = op.reduce("ReduceSum", weights, axes, keepdims=False)
    return op.Div(op.reduce("ReduceSum", op.Mul(tensor, weights), axes, keepdims=False), op.divisor(total))
