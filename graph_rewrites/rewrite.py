"""The pipeline: a model in, an explained model out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from .backward import reach, sweep
from .backward_rules import require_applied, rule_set
from .emit import Emitter
from .errors import OnnxplainError, UsageError, closest
from .layers import Layer, candidate_layers, channel_axis, choose_layers, spatial_axes
from .maps import CAM_METHODS, heatmap
from .metadata import VERSION, add_metadata, read_metadata
from .model_file import Model, ModelSource, read, write
from .publish import Publisher, prune
from .repeat import apply_repeat, find_repeat, first_rows
from .score import as_matrix, class_score, find_logits
from .tensors import Tensor

FLOAT32 = gs.Variable("float32", np.dtype(np.float32))
OUTPUTS = ("score", "cam", "heatmap", "activation", "gradient", "logits")
DEFAULT_OUTPUTS = ("score", "cam", "heatmap")


def layers(model: ModelSource, *, score: str | None = None) -> list[Layer]:
    """Lists the layers that can be explained, in graph order.

    Args:
        model: path or `ModelProto`.
        score: the output that is explained; needed where there are several.
    """
    work = read(model)
    return candidate_layers(work, find_logits(work, score).tensor.name)


def rewrite(
    model: ModelSource,
    *,
    method: str = "grad-cam",
    layers: str | Sequence[str] | None = None,
    rules: str | None = None,
    score: str | None = None,
    outputs: Sequence[str] | None = None,
) -> onnx.ModelProto:
    """Turns a model into an explained model, in standard ONNX operators alone.

    Args:
        model: path or `ModelProto` (not changed).
        method: the explanation map, a key of `CAM_METHODS`.
        layers: the layers to explain, tensors or nodes by name; default: the last convolutional layer.
        rules: name of the backward rule set, see `RULES`; default: "standard".
        score: name of the model output to explain; needed where there are several.
        outputs: which of `OUTPUTS` to compute; default: score, cam, heatmap.

    Returns:
        The model with the further input `target` (int64 [N, K]: class indices, -1 the top class, -2 the second ...)
        and, as chosen, the further outputs `score` [N, K], `cam` [N, K, h, w], `heatmap` [N, K, H, W], `activation`
        [N, C, h, w], `gradient` [N, K, C, h, w] and `logits` [N, classes]; per layer as `cam@<layer>` where several are
        chosen. K is 1 where the model's batch size is fixed.

    Raises:
        UsageError: an unknown method, layer, rule set, output, or several model outputs and none chosen.
        OnnxplainError: the model cannot be explained so; the message says why and what to do.
    """
    if method not in CAM_METHODS:
        raise UsageError(f"unknown method {method!r}; {closest(method, CAM_METHODS)}")
    for name in outputs or ():
        if name not in OUTPUTS:
            raise UsageError(f"unknown output {name!r}; {closest(name, OUTPUTS)}")
    table, wanted = rule_set(rules or "standard"), list(outputs or DEFAULT_OUTPUTS)

    work = read(model)
    if "method" in (read_metadata(work.proto) or {}):
        raise UsageError(f"{work.name}: is an explained model already; rewrite the original model")
    logits = find_logits(work, score)
    explained_score = {"output": logits.output, "logits": logits.tensor.name, "squashed_by": logits.squashed_by}
    chosen = choose_layers(work, logits.tensor.name, [layers] if isinstance(layers, str) else layers)
    chosen_names = [tensor.name for tensor in chosen]
    image = _image_input(work, chosen_names[0])
    forward = list(work.graph.nodes)

    op = Emitter(work)
    publish = Publisher(op)
    repeat = find_repeat(work, chosen_names, logits.tensor.name)
    target = publish.input("target", np.dtype(np.int64), [image.shape[0], "targets" if repeat else 1])
    repeated = apply_repeat(op, repeat, logits.tensor.name, target) if repeat else {}
    scores = class_score(op, as_matrix(op, op.cast_like(logits.tensor, FLOAT32)), target)
    rows = {name: repeated.get(name, tensor) for name, tensor in zip(chosen_names, chosen, strict=True)}
    ones = op.declare(op.Expand(np.ones((), np.float32), op.Shape(scores)), scores)
    grads = sweep(op, list(work.graph.nodes), {scores.name: ones}, [t.name for t in rows.values()], table)
    require_applied(table, work.name, logits.output, chosen_names)

    if "score" in wanted:
        publish.output("score", op.Reshape(scores, op.shape(target)), target.shape)
    if "logits" in wanted and logits.is_output:
        publish.names["logits"] = logits.output
    elif "logits" in wanted:
        values = as_matrix(op, logits.tensor)
        publish.output(
            "logits", first_rows(op, values, target) if repeat else values, [target.shape[0], values.shape[1]]
        )
    for name, layer in zip(chosen_names, chosen, strict=True):
        at = f"@{name}" if len(chosen) > 1 else ""
        grad = grads[rows[name].name]
        gradient = _channels_first(op, op.zeros_like(rows[name]) if grad is None else grad, layer)
        activation = _channels_first(op, rows[name], layer)
        spatial = activation.shape[2:]
        if "gradient" in wanted:
            publish.per_target(f"gradient{at}", gradient, target, gradient.shape[1:])
        if "activation" in wanted:
            once = _channels_first(op, layer, layer) if name in repeated else activation
            once = first_rows(op, once, target) if repeat and name not in repeated else once
            publish.output(f"activation{at}", once, [target.shape[0], *once.shape[1:]])
        cam = CAM_METHODS[method](op, op.cast_like(activation, FLOAT32), op.cast_like(gradient, FLOAT32))
        if "cam" in wanted:
            publish.per_target(f"cam{at}", op.Squeeze(cam, [1]), target, spatial)
        if "heatmap" in wanted:
            size = op.sizes(image, spatial_axes(image))
            large = op.Squeeze(heatmap(op, cam, size), [1])
            publish.per_target(f"heatmap{at}", large, target, [image.shape[axis] for axis in spatial_axes(image)])

    prune(work, forward)
    explained = write(work)
    add_metadata(
        explained,
        version=VERSION,
        method=method,
        layers=chosen_names,
        rules=rules or "standard",
        score=explained_score,
        input={"name": image.name, "layout": _layout(image)},
        names=publish.names,
    )
    return explained


def _image_input(model: Model, layer: str) -> Tensor:
    """The input that the layer is a coarser grid of: the first of the layer's rank that leads to it."""
    tensors = model.graph.tensors()
    for tensor in model.inputs:
        leads = layer in reach(model.graph.nodes, {tensor.name})
        if leads and tensor.shape is not None and len(tensor.shape) == len(tensors[layer].shape):
            return tensor
    raise OnnxplainError(
        f"{model.name}: no input of rank {len(tensors[layer].shape)} leads to layer {layer!r}; choose another layer"
    )


def _layout(image: Tensor) -> str | None:
    """NCHW or NHWC; None for inputs that are no images."""
    if len(image.shape) != 4:
        return None
    return "NCHW" if channel_axis(image) == 1 else "NHWC"


def _channels_first(op: Emitter, tensor: Tensor, layer: Tensor) -> Tensor:
    """The tensor, laid out as `layer`, as [rows, C, *spatial]."""
    order = [0, channel_axis(layer), *spatial_axes(layer)]
    return tensor if order == sorted(order) else op.Transpose(tensor, perm=order)
