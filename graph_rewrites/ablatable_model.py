"""A model whose layer can be switched off channel by channel, for methods that see what the score then loses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from .build.emitter import Emitter
from .build.graph_io import Publisher, prune
from .errors import UsageError
from .graph.node import replace_input
from .maps.class_batch import find_class_batch, repeat_samples
from .model.metadata import VERSION, add_metadata
from .model.model import ModelSource, read
from .model.writing import write
from .pipeline.publish import image_layout
from .targets.axes import channel_axis
from .targets.grid import first_image, grid_of, image_input, locate
from .targets.layers import choose_layers
from .targets.placement import RECEPTIVE_FIELD, RESIZE, placement_of
from .targets.samples import named_rows, require_samples, sample_axes
from .targets.scores.score import ScoreSource, as_matrix, explained_scores, find_logits


def ablation_model(
    model: ModelSource,
    *,
    layers: str | Sequence[str] | None = None,
    score: ScoreSource | None = None,
    placement: str = RECEPTIVE_FIELD,
) -> onnx.ModelProto:
    """The model with the inputs `target` [N, K] and `channel_weights` [N, R, C], which multiply a layer's channels.

    Everything up to the layer runs once per sample, the rest once per row of weights. R is 1 where the model's batch
    size is fixed.

    Args:
        model: path or `ModelProto` (not changed).
        layers: the layer; default: as in `rewrite`.
        score: what is explained, as in `rewrite`.
        placement: where the layer's cells lie, as in `rewrite`.

    Returns:
        The model with the outputs `ablated` [N, R, K], the scores under each row of weights; `score` [N, K] and
        `logits` [N, classes], those of the first row; and `activation` [N, C, h, w], not multiplied.

    Raises:
        UsageError: several layers.
    """
    work = read(model)
    logits = find_logits(work, score)
    record = logits.record()
    axes = sample_axes(work)
    if not axes.sources:
        require_samples(work, axes, first_image(work, logits.tensor), logits.tensor)
    chosen = choose_layers(work, logits.tensor.name, layers, placement == RESIZE)
    if len(chosen) > 1:
        raise UsageError(f"{work.name}: one layer at a time can be ablated, not {len(chosen)}; name one")
    (layer,) = chosen
    image, name = image_input(work, axes.trace, layer), layer.name
    place = placement_of(work, axes.trace, layer, image, placement)
    tokens = locate(work, axes.trace, layer, image, placement == RESIZE)
    forward = list(work.graph.nodes)
    require_samples(work, axes, image, logits.tensor)
    rows = [*named_rows(work, axes), *logits.inputs.values()]

    op = Emitter(work)
    publish = Publisher(op)
    batch = find_class_batch(work, [layer.name], logits.tensor.name)
    target = publish.input("target", np.dtype(np.int64), [image.shape[0], "targets"])
    channels = layer.shape[channel_axis(layer)]
    height = "rows" if batch else 1
    weights = publish.input("channel_weights", np.dtype(np.float32), [image.shape[0], height, channels])
    publish.names.update(logits.inputs)
    samples = repeat_samples(op, batch, logits.tensor.name, weights)
    tensor = samples.of(layer)
    consumers = list(tensor.outputs)
    maker = next(i for i, node in enumerate(work.graph.nodes) if any(one is tensor for one in node.outputs))
    with op.inserting_at(maker + 1):
        lead, tail = [1] * (channel_axis(layer) - 1), [1] * (len(layer.shape) - 1 - channel_axis(layer))
        per_row = op.Reshape(weights, op.join([-1], lead, op.size(weights, 2), tail))
        scaled = op.declare(op.Mul(tensor, op.cast_like(per_row, tensor)), tensor)
    for node in consumers:
        replace_input(node, tensor, scaled)
    sizes = op.join(op.size(image, 0), op.size(weights, 1), op.size(target, 1))
    targets = op.Reshape(op.Expand(op.Unsqueeze(target, [1]), sizes), op.join([-1], op.size(target, 1)))
    scores, boxes = explained_scores(op, logits, targets)
    publish.output("ablated", op.Reshape(scores, sizes), [image.shape[0], height, "targets"])
    publish.output("score", samples.once(op, scores), target.shape)
    maps = grid_of(op, layer, tokens).maps(op, layer)
    values = samples.once(op, maps) if samples.repeats(layer) else maps
    publish.output("activation", values, [image.shape[0], *values.shape[1:]])
    if boxes is None:
        matrix = as_matrix(op, logits.tensor)
        publish.output("logits", samples.once(op, matrix), [image.shape[0], matrix.shape[1]])
    else:
        publish.output("detection", samples.once(op, boxes), [*target.shape, 6])
    prune(work, forward)
    result = write(work)
    add_metadata(
        result,
        version=VERSION,
        method="ablation-cam",
        layers=[name],
        rules="standard",
        score=record,
        input={"name": image.name, "layout": image_layout(image)},
        names=publish.names,
        rows=rows,
        placements={name: place.record()} if place is not None else None,
    )
    return result
