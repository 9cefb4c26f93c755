"""What is explained: class scores per sample, taken from the model's outputs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx
import onnx_graphsurgeon as gs

from ...axes.labels import only_source
from ...axes.trace import trace_axes
from ...build.emitter import Emitter
from ...errors import OnnxplainError, UsageError, closest
from ...graph.operator_traits import traits_of
from ...graph.tensors import FLOAT32, Tensor, is_float
from ...model.model import Model
from ..quantised_layer import before_quantiser
from ..samples import lacks_samples, sample_axes, samples_first
from . import segmentation as segmentation
from .detection import Detections, find_detections, is_detection
from .expression import emit_expression, is_expression
from .scorer_model import append_scorer_model

SCOPE = "onnxplain/score"  # of the nodes that make a score of the outputs

# The name of an output, an expression of one (see `expression`), or a scoring model (its file or protobuf).
ScoreSource = str | os.PathLike[str] | onnx.ModelProto


@dataclass(frozen=True)
class Logits:
    """The class scores: `tensor` [N, classes(, 1, ...)], the output they lead to, and what squashes them there.

    `is_output`: the tensor is that output itself, as a matrix. `expression`: how they are made of the output, if so.
    `detections`: the boxes of which `tensor` is the table, where one of them is explained.
    `inputs`: inputs that this needs beside the model's own, from the logical names to the actual ones.
    """

    tensor: Tensor
    output: str
    squashed_by: str | None
    is_output: bool
    expression: str | None = None
    detections: Detections | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)

    def record(self) -> dict[str, str | None]:
        """What the metadata of an explained model say of its score."""
        record = {"output": self.output, "logits": self.tensor.name, "squashed_by": self.squashed_by}
        return record | ({"expression": self.expression} if self.expression else {})


def find_logits(model: Model, score: ScoreSource | None = None) -> Logits:
    """The class scores that are explained; what must be computed for them is appended to the model.

    Args:
        model: the model.
        score: an output, by name (the only float one, unless given); an expression of an output, see
            `expression`; or a scoring model that takes outputs, see `scorer_model`.

    Raises:
        UsageError: several outputs and none named, or an unknown one.
        OnnxplainError: the output holds no floats, or not one score per class.
    """
    outputs = {tensor.name: tensor for tensor in model.graph.outputs}
    if isinstance(score, onnx.ModelProto) or (score is not None and _is_model_file(score, outputs)):
        return Logits(append_scorer_model(model, score), next(iter(outputs)), None, False, "joined model")
    if isinstance(score, os.PathLike):
        raise UsageError(f"{score}: a score given as a file is an ONNX model; give one that ends in .onnx")
    if score is not None and score not in outputs and is_expression(score):
        op = Emitter(model, SCOPE)

        is_box = is_detection(score)

        def base(name: str) -> tuple[Tensor, bool]:
            # Boxes are ranked by the scores that the model gives.
            tensor = outputs[name] if is_box else _behind_final_activation(model, outputs[name], keep_shape=True)[0]
            if lacks_samples(model, tensor):
                return tensor, False
            return samples_first(op, tensor, f"output {name!r}"), True

        if is_box:
            name, found = find_detections(op, score, outputs, base)
            return Logits(found.table, name, None, False, score, detections=found)
        name, tensor = emit_expression(op, score, outputs, base)
        return Logits(tensor, name, None, False, score, inputs=op.inputs)
    output = _named(model, outputs, score)
    tensor, squashed_by = _behind_final_activation(model, outputs[output])
    # A class may score beyond the range that the logits are quantised to.
    tensor = samples_first(Emitter(model, SCOPE), before_quantiser(model, tensor), f"output {output!r}")
    shape = tensor.shape
    if shape is None or len(shape) < 1 or any(size != 1 for size in shape[2:]):
        written = output if output.isidentifier() else f'"{output}"'
        words = f", or sequence({written}) of words [N, T, vocabulary]" if shape is not None and len(shape) == 3 else ""
        raise OnnxplainError(
            f"{model.name}: output {output!r} has shape {shape}, not one score per class [N, classes]; choose another "
            f"output with score= (--score), or an expression such as mean({written}){words}"
        )
    return Logits(tensor, output, squashed_by, tensor.name == output and len(shape) == 2)


def _is_model_file(score: ScoreSource, outputs: dict[str, Tensor]) -> bool:
    return str(score) not in outputs and str(score).endswith(".onnx")


def _named(model: Model, outputs: dict[str, Tensor], output: str | None) -> str:
    floats = [name for name, tensor in outputs.items() if is_float(tensor)]
    if output is None:
        if not floats:
            raise OnnxplainError(
                f"{model.name}: none of the outputs {list(outputs)} holds floats; nothing has a gradient"
            )
        if len(floats) > 1:
            raise UsageError(f"{model.name}: several outputs; choose one with score= (--score): {', '.join(floats)}")
        return floats[0]
    if output not in outputs:
        raise UsageError(f"{model.name}: no output {output!r}; {closest(output, outputs)}")
    if output not in floats:
        raise OnnxplainError(f"{model.name}: output {output!r} holds no floats, so it has no gradient; choose another")
    return output


def _behind_final_activation(model: Model, output: Tensor, keep_shape: bool = False) -> tuple[Tensor, str | None]:
    """The tensor before a final softmax or sigmoid, and which it is; the output itself where there is none.

    Selvaraju et al. 2017, section 3: "the score for class c, y^c (before the softmax)".

    `keep_shape`: only through operators that leave the shape as it is.
    """
    inner = output
    while (before := _behind_transparent(inner)) is not None:
        inner = before
    if len(inner.inputs) != 1 or not traits_of(inner.inputs[0]).final:
        return output, None
    if keep_shape and inner.shape != output.shape:
        return output, None
    if _is_over_samples(model, inner.inputs[0]):
        return output, None
    if not _same_axes(model, inner, output):
        return output, None  # probabilities of something else, such as of pairs that are folded into the classes
    return inner.inputs[0].inputs[0], inner.inputs[0].op


def _is_over_samples(model: Model, final: gs.Node) -> bool:
    """Whether a softmax compares samples, and not classes."""
    labels, samples = trace_axes(model).of(final.inputs[0]), sample_axes(model)
    axis = final.attrs.get("axis", -1)
    return "Softmax" in final.op and bool(labels) and only_source(labels[axis]) in samples.sources


def _same_axes(model: Model, inner: Tensor, output: Tensor) -> bool:
    """Whether two tensors have the same axes, but for those of one position."""
    trace = trace_axes(model)
    kept = [
        [label for label, size in zip(trace.of(tensor), tensor.shape or (), strict=False) if size != 1]
        for tensor in (inner, output)
    ]
    return None in kept[0] or None in kept[1] or kept[0] == kept[1]


def _behind_transparent(tensor: Tensor) -> Tensor | None:
    """The float tensor before a transparent operator, or a quantiser and dequantiser; None where there is none."""
    maker = tensor.inputs[0] if len(tensor.inputs) == 1 else None
    if maker is not None and maker.op == "DequantizeLinear" and maker.inputs[0].inputs:
        maker = maker.inputs[0].inputs[0]
        return maker.inputs[0] if maker.op == "QuantizeLinear" else None
    if maker is None or traits_of(maker).values not in ("in place", "reshaped") or not is_float(maker.inputs[0]):
        return None
    return maker.inputs[0]


def explained_scores(op: Emitter, logits: Logits, target: Tensor) -> tuple[Tensor, Tensor | None]:
    """The scores [rows, K] of `target`, float32, and of boxes what they are, see `Detections.chosen`."""
    if logits.detections is not None:
        return logits.detections.chosen(op, target)
    return class_score(op, as_matrix(op, op.cast_like(logits.tensor, FLOAT32)), target), None


def as_matrix(op: Emitter, logits: Tensor) -> Tensor:
    """The logits as [rows, classes]; an output [N] is one class."""
    if len(logits.shape) == 2:
        return logits
    return op.Reshape(logits, [-1, 1]) if len(logits.shape) == 1 else op.Flatten(logits, axis=1)


def class_score(op: Emitter, logits: Tensor, target: Tensor) -> Tensor:
    """The scores of some classes per row.

    Args:
        op: appends the nodes.
        logits: [rows, classes].
        target: int64 [rows, K], class indices; -1 is a row's top class, -2 its second, ...

    Returns:
        [rows, K].
    """
    place = op.Max(op.Sub(op.Neg(target), 1), 0)  # how many classes of the row score higher
    most = op.Add(op.reduce("ReduceMax", place, [0, 1], keepdims=False), 1)
    count = op.Min(op.Reshape(most, [1]), op.size(logits, 1))
    _, order = op.TopK(logits, count, outputs=2, axis=1)
    by_place = op.GatherElements(order, place, axis=1)
    index = op.Where(op.Less(target, 0), by_place, target)
    return op.GatherElements(logits, index, axis=1)
