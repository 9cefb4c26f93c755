"""Step two of `rewrite`: the score of the chosen classes, the way back from it, and the maps, as nodes of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..autodiff.reverse import Rules
from ..backward_rules.registry import require_applied, rule_set
from ..build.emitter import Emitter
from ..build.graph_io import Publisher
from ..graph.tensors import Tensor
from ..maps.attribution import Attribution, heatmaps_of
from ..maps.backward_pass import BackwardPass
from ..maps.class_batch import Samples, repeat_samples
from ..maps.explained_tensor import ExplainedTensor
from ..targets.axes import layout, spatial_axes
from ..targets.grid import Grid, grid_of
from ..targets.scores.score import explained_scores
from .plan import Plan


@dataclass(frozen=True)
class MapTensors:
    """The tensors of one explained layer, or of the input; None where an output is not asked for.

    Attributes:
        name: the layer's name; of a method that explains no layer, the input's.
        activation: [N, C, *spatial], one row per sample.
        gradient: [rows, C, *spatial].
        cam: [rows, 1, *spatial].
        input_gradient: [rows, *input].
        heatmap: [rows, 1, *size].
    """

    name: str
    activation: Tensor | None = None
    gradient: Tensor | None = None
    cam: Tensor | None = None
    input_gradient: Tensor | None = None
    heatmap: Tensor | None = None


@dataclass(frozen=True)
class Attached:
    """The explanation's tensors, and what publishes them.

    Attributes:
        io: gives inputs and outputs their names.
        target: the input int64 [N, K] that chooses the classes.
        scores: [rows, 1], or [N, K] where no sample is repeated.
        boxes: the same with an axis of 6, of what `detection` chose; else None.
        samples: the rows of the explained part.
        maps: those of each layer, or of the input.
    """

    io: Publisher
    target: Tensor
    scores: Tensor
    boxes: Tensor | None
    samples: Samples
    maps: tuple[MapTensors, ...]


def attach(plan: Plan) -> Attached:
    """Appends the explanation.

    Raises:
        OnnxplainError: an operator has no gradient, or the backward rules would change nothing.
    """
    op = Emitter(plan.model)
    io = Publisher(op)
    io.names.update(plan.logits.inputs)
    target = io.input("target", np.dtype(np.int64), [plan.image.shape[0], plan.targets])
    samples = repeat_samples(op, plan.class_batch, plan.logits.tensor.name, target)
    scores, boxes = explained_scores(op, plan.logits, samples.classes(op, target))

    table, standard = rule_set(plan.rules), rule_set("standard")
    found = _attributions(plan, op, scores, samples, table, standard)
    heatmaps = heatmaps_of(found) if "heatmap" in plan.outputs else [None] * len(found)
    maps = tuple(
        _tensors(plan, samples, each, heatmap, is_first=index == 0)
        for index, (each, heatmap) in enumerate(zip(found, heatmaps, strict=True))
    )
    passes = {id(one.backward): one.backward for each in found for one in each.tensors}
    for backward in passes.values():
        if backward.is_used:
            require_applied(backward.rules, plan.model.name, plan.logits.output, plan.names)
    return Attached(io, target, scores, boxes, samples, maps)


def _attributions(
    plan: Plan, op: Emitter, scores: Tensor, samples: Samples, table: Rules, standard: Rules
) -> list[Attribution]:
    """What the method makes of each layer, or of the input."""
    nodes, how = tuple(plan.model.graph.nodes), plan.method
    layers = [samples.of(tensor) for tensor in plan.layers]
    pixels = [] if plan.pixels is None else [samples.of(plan.pixels)]
    wanted = [tensor.name for tensor in (*layers, *pixels)]
    backward = BackwardPass(op, nodes, scores, table, how.backward, tuple(wanted))
    at_layers = backward
    if how.at == "both":  # the rules are for the way to the input; a layer's map takes plain gradients
        at_layers = BackwardPass(op, nodes, scores, standard, how.backward, tuple(wanted[: len(layers)]))
        backward = BackwardPass(op, nodes, scores, table, how.backward, tuple(wanted[len(layers) :]))
    size = op.sizes(plan.image, spatial_axes(plan.image))
    explained = [
        ExplainedTensor(name, tensor, rows, grid_of(op, tensor, tokens), at_layers, size, placement)
        for name, tensor, rows, tokens, placement in zip(
            plan.layer_names, plan.layers, layers, plan.tokens, plan.placements, strict=True
        )
    ]
    source = None
    if plan.pixels is not None:
        grid = Grid(layout(plan.image))
        source = ExplainedTensor(plan.names[-1], plan.pixels, pixels[0], grid, backward, size, places=plan.places)
    subjects: Sequence[ExplainedTensor] = explained or ([source] if source else [])
    return [Attribution(how.at, how.build, plan.options, subject, source) for subject in subjects]


def _tensors(plan: Plan, samples: Samples, maps: Attribution, heatmap: Tensor | None, is_first: bool) -> MapTensors:
    """The tensors that are asked for; the gradient at the input is the same for all layers, but of a product."""
    subject, op, wanted = maps.subject, maps.subject.op, plan.outputs
    if "activation" not in wanted:
        activation = None
    elif samples.repeats(subject.tensor):
        activation = samples.once(op, subject.native_activation)
    else:
        activation = subject.grid.maps(op, subject.tensor)
    at_input = maps.pixels if "input_gradient" in wanted and (is_first or maps.at == "both") else None
    return MapTensors(
        subject.name,
        activation=activation,
        gradient=subject.native_gradient if "gradient" in wanted else None,
        cam=maps.cam if "cam" in wanted else None,
        input_gradient=None if at_input is None else at_input.grid.values(op, maps.attribution),
        heatmap=heatmap,
    )
