"""The pipeline: a model in, an explained model out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from .backward_rules.registry import require_applied, rule_set
from .build.emitter import Emitter
from .build.graph_io import Publisher, prune
from .errors import UsageError, closest
from .graph.tensors import Tensor
from .maps import methods as methods  # registers the methods
from .maps.backward_pass import FLOAT32, Maps, Place, Trace, heatmaps_of
from .maps.class_batch import Rows
from .maps.options import check_options
from .maps.registry import Method, find_method
from .model.metadata import VERSION, add_metadata, read_metadata
from .model.model import ModelSource, read
from .model.writing import write
from .targets.axes import channel_axis, layout, spatial_axes
from .targets.grid import Grid, as_floats, first_image, grid_of, image_input
from .targets.layers import Layer, candidate_layers, choose_layers
from .targets.quantised_layer import real_layer
from .targets.score import ScoreSource, as_matrix, class_score, find_logits

OUTPUTS = ("score", "cam", "heatmap", "activation", "gradient", "input_gradient", "logits")
DEFAULT_OUTPUTS = {
    "layer": ("score", "cam", "heatmap"),
    "input": ("score", "input_gradient", "heatmap"),
    "both": ("score", "input_gradient", "heatmap"),
    "model": ("score", "cam", "input_gradient", "heatmap"),
}
# Outputs that the forward pass gives, of all classes at once.
FORWARD_OUTPUTS = {"score", "logits", "activation"}
# Outputs that a method has not, by where it explains.
LACKING = {
    "layer": (),
    "input": ("cam", "activation", "gradient"),
    "both": ("cam",),
    "model": ("activation", "gradient"),
}


def layers(model: ModelSource, *, score: ScoreSource | None = None) -> list[Layer]:
    """Lists the layers that can be explained, in graph order.

    Args:
        model: path or `ModelProto`.
        score: what is explained, as in `rewrite`; needed where there are several outputs.
    """
    work = read(model)
    return candidate_layers(work, find_logits(work, score).tensor.name)


def rewrite(
    model: ModelSource,
    *,
    method: str = "grad-cam",
    layers: str | Sequence[str] | None = None,
    rules: str | None = None,
    score: ScoreSource | None = None,
    outputs: Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> onnx.ModelProto:
    """Turns a model into an explained model, in standard ONNX operators alone.

    Args:
        model: path or `ModelProto` (not changed).
        method: the explanation map, a key of `METHODS`.
        layers: the layers to explain, tensors or nodes by name, or "all"; default: the last convolutional layer, or a
            transformer's last layer of tokens.
        rules: name of the backward rule set, see `RULES`; default: the method's own, mostly "standard".
        score: what is explained; needed where there are several outputs: an output by name, an expression of one such
            as "max(detections[:, 4:], axis=2)" (see `score_expression`), or a scoring model joined onto them.
        outputs: which of `OUTPUTS` to compute; default: score, cam, heatmap; for maps at the input score,
            input_gradient, heatmap.
        options: the method's own, such as {"relu": False} for Grad-CAM.

    Returns:
        The model with the further input `target` (int64 [N, K]: class indices, -1 the top class, -2 the second ...)
        and, as chosen, the further outputs `score` [N, K], `cam` [N, K, h, w], `heatmap` [N, K, H, W], `activation`
        [N, C, h, w], `gradient` [N, K, C, h, w], `input_gradient` [N, K, *input] and `logits` [N, classes]; per layer
        as `cam@<layer>` where several are chosen. K is 1 where the model's batch size is fixed, unless only
        `FORWARD_OUTPUTS` are computed. `input_gradient` is what the method makes of the gradient there: for
        guided-grad-cam, its product with the heatmap.

    Raises:
        UsageError: an unknown method, option, layer, rule set, output, or several model outputs and none chosen.
        OnnxplainError: the model cannot be explained so; the message says why and what to do.
    """
    how = find_method(method)
    given = check_options(method, how.build, options)
    wanted = _wanted(how, outputs)
    work = read(model)
    if "method" in (read_metadata(work.proto) or {}):
        raise UsageError(f"{work.name}: is an explained model already; rewrite the original model")
    logits = find_logits(work, score)
    explained_score = logits.record()  # before the repeat may rename an output
    chosen = [] if how.at in ("input", "model") else choose_layers(work, logits.tensor.name, layers)
    chosen = [real_layer(work, tensor) for tensor in chosen]
    image = image_input(work, chosen[0]) if chosen else first_image(work, logits.tensor)
    forward_only = FORWARD_OUTPUTS.issuperset(wanted)
    at_input = how.at != "layer" and not forward_only
    pixels = as_floats(work, image) if at_input or "input_gradient" in wanted else None
    forward = list(work.graph.nodes)
    explained = [*chosen, *([pixels] if pixels is not None else [])]
    # An output that is explained gives its name to what keeps each sample's first row.
    names = [tensor.name for tensor in explained]

    op = Emitter(work)
    publish = Publisher(op)
    publish.names.update(logits.inputs)
    rows = Rows(op, names, logits.tensor.name, forward_only=forward_only)
    target = publish.input("target", np.dtype(np.int64), [image.shape[0], rows.width])
    rows.apply(target)
    scores = class_score(op, as_matrix(op, op.cast_like(logits.tensor, FLOAT32)), rows.targets)

    nodes, asked = list(work.graph.nodes), rules or how.rules
    trace = Trace(op, nodes, scores, rule_set(asked), how.backward)
    layer_trace = Trace(op, nodes, scores, rule_set("standard"), how.backward) if how.at == "both" else trace
    size = op.sizes(image, spatial_axes(image))
    places = [
        Place(name, tensor, rows.of(tensor), grid_of(op, tensor, image), layer_trace, size)
        for name, tensor in zip(names, chosen, strict=False)
    ]
    source = None if pixels is None else Place(names[-1], pixels, rows.of(pixels), Grid(layout(image)), trace, size)
    layer_trace.names = [place.rows.name for place in places]
    trace.names = [*trace.names, *([source.rows.name] if source else [])]

    if "score" in wanted:
        # Counted from the samples, not from `target`: too few rows there must not drop any sample.
        sizes = op.join(op.size(image, 0), op.size(target, 1))
        publish.output("score", op.Reshape(scores, sizes), target.shape)
    if "logits" in wanted and logits.is_output:
        publish.names["logits"] = logits.output
    elif "logits" in wanted:
        values = as_matrix(op, logits.tensor)
        publish.output("logits", rows.once(values), [image.shape[0], values.shape[1]])
    made = [Maps(how.at, how.build, given, place, source) for place in places or ([source] if source else [])]
    heatmaps = heatmaps_of(made) if "heatmap" in wanted else [None] * len(made)
    for index, (maps, heatmap) in enumerate(zip(made, heatmaps, strict=True)):
        at = f"@{maps.place.name}" if len(places) > 1 else ""
        # Of a method at layers, the gradient at the input is the same for all of them.
        rest = [name for name in wanted if index == 0 or how.at == "both" or name != "input_gradient"]
        _publish_maps(publish, rows, maps, heatmap, rest, at, image)
    for used in (one for one in (layer_trace, trace) if one.is_used):
        require_applied(used.rules, work.name, logits.output, names)

    prune(work, forward)
    result = write(work)
    add_metadata(
        result,
        version=VERSION,
        method=method,
        layers=names[: len(chosen)],
        rules=asked,
        options=given or None,
        score=explained_score,
        input={"name": image.name, "layout": image_layout(image)},
        names=publish.names,
    )
    return result


def _wanted(method: Method, outputs: Sequence[str] | None) -> list[str]:
    wanted = list(outputs or DEFAULT_OUTPUTS[method.at])
    for name in wanted:
        if name not in OUTPUTS:
            raise UsageError(f"unknown output {name!r}; {closest(name, OUTPUTS)}")
        if name in LACKING[method.at]:
            raise UsageError(
                f"method {method.name!r} has no output {name!r}; take {', '.join(DEFAULT_OUTPUTS[method.at])}"
            )
    return wanted


def _publish_maps(
    publish: Publisher,
    rows: Rows,
    maps: Maps,
    heatmap: Tensor | None,
    wanted: Sequence[str],
    at: str,
    image: Tensor,
) -> None:
    """The outputs of one place; `at` ends their names where there are several places."""
    place, op, target = maps.place, maps.place.op, rows.target
    if "activation" in wanted:
        values = rows.once(place.features) if rows.repeats(place.tensor) else place.grid.maps(op, place.tensor)
        publish.output(f"activation{at}", values, [image.shape[0], *values.shape[1:]])
    if "gradient" in wanted:
        publish.per_target(f"gradient{at}", place.slopes, target, place.slopes.shape[1:])
    if "cam" in wanted:
        publish.per_target(f"cam{at}", maps.cam, target, maps.cam.shape[2:])
    if "input_gradient" in wanted and maps.pixels is not None:
        name = f"input_gradient{at}" if maps.at == "both" else "input_gradient"
        values = maps.pixels.grid.values(op, maps.attribution)
        publish.per_target(name, values, target, image.shape[1:])
    if heatmap is not None:
        sizes = [image.shape[axis] for axis in spatial_axes(image)]
        publish.per_target(f"heatmap{at}", heatmap, target, sizes)


def image_layout(image: Tensor) -> str | None:
    """NCHW or NHWC; None for inputs that are no images."""
    if len(image.shape) != 4:
        return None
    return "NCHW" if channel_axis(image) == 1 else "NHWC"
