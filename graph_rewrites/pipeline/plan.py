"""Step one of `rewrite`: what is explained, and how, before any node of the explanation is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_graphsurgeon as gs

from ..errors import OnnxplainError, UsageError, closest
from ..graph.reachability import tensors_between
from ..graph.tensors import Tensor
from ..maps.class_batch import ClassBatch, find_class_batch
from ..maps.options import check_options
from ..maps.registry import Method, find_method
from ..model.metadata import read_metadata
from ..model.model import Model
from ..targets.axes import has_spatial_extent
from ..targets.grid import Located, as_floats, first_image, grids_over, image_input, locate
from ..targets.layers import adds_a_bias, choose_layers
from ..targets.placement import RESIZE, Placement, placement_of
from ..targets.quantised_layer import real_layer
from ..targets.samples import SampleAxes, named_rows, require_samples, sample_axes
from ..targets.scores.score import Logits, ScoreSource, find_logits

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


@dataclass(frozen=True)
class Plan:
    """What is explained, and how.

    Attributes:
        model: the model, with what the score needs appended.
        method: the method, with its `options`, and `rules`, the name of the backward rule set.
        outputs: which of `OUTPUTS` are computed.
        logits: the scores of all classes.
        score_record: what the metadata say of the score.
        image: the input that is explained.
        layers: the explained layers, float tensors.
        pixels: the input as floats, where anything is computed there; else None.
        names: what the file calls the layers and then the pixels: an output that is explained hands its name on.
        class_batch: where samples are repeated for each class; None where none is.
        targets: how many classes one run explains: 1, or a symbol of any number.
        forward: the model's own nodes, which stay whatever is computed.
        rows: the inputs and outputs with a row per sample, by name.
        placements: where each layer lies on the image; None where it covers it evenly.
        tokens: where each layer's tokens lie on the image; None where it has spatial axes of its own.
        places: where all layers of a method of the whole model lie on the image, as `placements`, by name.
    """

    model: Model
    method: Method
    options: Mapping[str, Any]
    rules: str
    outputs: tuple[str, ...]
    logits: Logits
    score_record: Mapping[str, str | None]
    image: Tensor
    layers: tuple[Tensor, ...]
    pixels: Tensor | None
    names: tuple[str, ...]
    class_batch: ClassBatch | None
    targets: int | str
    forward: tuple[gs.Node, ...]
    rows: tuple[str, ...]
    placements: tuple[Placement | None, ...]
    tokens: tuple[Located | None, ...]
    places: Mapping[str, Placement | None]

    @property
    def layer_names(self) -> tuple[str, ...]:
        """What the file calls the layers."""
        return self.names[: len(self.layers)]


def plan(
    model: Model,
    method: str,
    *,
    layers: str | Sequence[str] | None,
    rules: str | None,
    score: ScoreSource | None,
    outputs: Sequence[str] | None,
    options: Mapping[str, Any] | None,
    placement: str,
) -> Plan:
    """Decides all that can be wrong with what is asked for.

    Raises:
        UsageError, OnnxplainError: as `rewrite`.
    """
    found = find_method(method)
    given = check_options(method, found.build, options)
    wanted = _wanted(found, outputs)
    if "method" in (read_metadata(model.proto) or {}):
        raise UsageError(f"{model.name}: is an explained model already; rewrite the original model")
    logits = find_logits(model, score)
    samples = sample_axes(model)
    if not samples.sources:
        require_samples(model, samples, first_image(model, logits.tensor), logits.tensor)
    assume = placement == RESIZE
    chosen = [] if found.at in ("input", "model") else choose_layers(model, logits.tensor.name, layers, assume)
    chosen = [real_layer(model, tensor) for tensor in chosen]
    image = image_input(model, samples.trace, chosen[0]) if chosen else first_image(model, logits.tensor)
    require_samples(model, samples, image, logits.tensor)
    forward_only = FORWARD_OUTPUTS.issuperset(wanted)
    needs_pixels = (found.at != "layer" and not forward_only) or "input_gradient" in wanted
    pixels = as_floats(model, image) if needs_pixels else None
    explained = [tensor.name for tensor in (*chosen, *([] if pixels is None else [pixels]))]
    batch = None if forward_only else find_class_batch(model, explained, logits.tensor.name)
    return Plan(
        model=model,
        method=found,
        options=given,
        rules=rules or found.rules,
        outputs=wanted,
        logits=logits,
        score_record=logits.record(),
        image=image,
        layers=tuple(chosen),
        pixels=pixels,
        names=tuple(explained),
        class_batch=batch,
        targets="targets" if forward_only or batch is not None else 1,
        forward=tuple(model.graph.nodes),
        placements=tuple(placement_of(model, samples.trace, tensor, image, placement) for tensor in chosen),
        places=_places(model, samples, image, logits.tensor, placement) if found.at == "model" else {},
        tokens=tuple(locate(model, samples.trace, tensor, image, assume) for tensor in chosen),
        rows=tuple(named_rows(model, samples)) + tuple(logits.inputs.values()),
    )


def _places(
    model: Model, samples: SampleAxes, image: Tensor, score: Tensor, placement: str
) -> dict[str, Placement | None]:
    """Where the feature maps of the image's rank lie that a bias is added to on the path to the score.

    Raises:
        OnnxplainError: one has no row per image, or lies the graph does not tell where.
    """
    path = tensors_between(model.graph.nodes, [image.name], [score.name])
    found: dict[str, Placement | None] = {}
    for node in model.graph.nodes:
        tensor = node.outputs[0]
        if not adds_a_bias(node, path) or len(tensor.shape or ()) != len(image.shape):
            continue
        if not has_spatial_extent(tensor):
            found[tensor.name] = None
            continue
        labels = samples.trace.of(tensor)
        if node.op == "Add" and None not in labels and grids_over(samples.trace, tensor, image) is None:
            continue  # what is added to is no map, such as the table of an attention
        if not samples.are_rows(tensor):
            raise OnnxplainError(
                f"{model.name}: layer {tensor.name!r} {list(tensor.shape)} {samples.why_no_rows(tensor)}; choose a "
                "method of one layer, or of the input"
            )
        found[tensor.name] = placement_of(model, samples.trace, tensor, image, placement)
    return found


def _wanted(method: Method, outputs: Sequence[str] | None) -> tuple[str, ...]:
    wanted = tuple(outputs or DEFAULT_OUTPUTS[method.at])
    for name in wanted:
        if name not in OUTPUTS:
            raise UsageError(f"unknown output {name!r}; {closest(name, OUTPUTS)}")
        if name in LACKING[method.at]:
            raise UsageError(
                f"method {method.name!r} has no output {name!r}; take {', '.join(DEFAULT_OUTPUTS[method.at])}"
            )
    return wanted
