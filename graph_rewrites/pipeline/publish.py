"""Step three of `rewrite`: outputs under the names of the contract, the file, and what it says of itself."""

from __future__ import annotations

from typing import Any

import onnx

from ..build.graph_io import prune
from ..graph.tensors import Tensor
from ..model.metadata import VERSION, add_metadata
from ..model.writing import write
from ..targets.axes import channel_axis, spatial_axes
from ..targets.scores.score import as_matrix
from .attach import Attached, MapTensors
from .plan import Plan


def publish(plan: Plan, attached: Attached) -> onnx.ModelProto:
    """The explained model; of the nodes that were made, those stay that an output needs."""
    io, op, wanted = attached.io, attached.io.op, plan.outputs
    target, samples = attached.target, attached.samples
    if "score" in wanted:
        # Counted from the samples, not from `target`: too few rows there must not drop any sample.
        sizes = op.join(op.size(plan.image, 0), op.size(target, 1))
        io.output("score", op.Reshape(attached.scores, sizes), target.shape)
    if attached.boxes is not None:
        shape = op.join(op.size(plan.image, 0), op.size(target, 1), [6])
        io.output("detection", op.Reshape(attached.boxes, shape), [*target.shape, 6])
    has_logits = "logits" in wanted and attached.boxes is None  # of boxes, no class has a score of its own
    if has_logits and plan.logits.is_output:
        io.names["logits"] = plan.logits.output
    elif has_logits:
        values = as_matrix(op, plan.logits.tensor)
        io.output("logits", samples.once(op, values), [plan.image.shape[0], values.shape[1]])
    for maps in attached.maps:
        _publish_maps(plan, attached, maps)

    prune(plan.model, plan.forward)
    result = write(plan.model)
    add_metadata(
        result,
        version=VERSION,
        method=plan.method.name,
        layers=list(plan.layer_names),
        rules=plan.rules,
        options=plan.options or None,
        score=plan.score_record,
        input={"name": plan.image.name, "layout": image_layout(plan.image)},
        names=io.names,
        rows=list(plan.rows),
        placements=_placements(plan) or None,
    )
    return result


def _placements(plan: Plan) -> dict[str, Any]:
    """Where layers lie that do not cover the image evenly, by their names."""
    pairs = zip(plan.layer_names, plan.placements, strict=True)
    return {name: placement.record() for name, placement in pairs if placement is not None}


def _publish_maps(plan: Plan, attached: Attached, maps: MapTensors) -> None:
    """The outputs of one layer, or of the input; where there are several layers, its name ends theirs."""
    io, target, image = attached.io, attached.target, plan.image
    at = f"@{maps.name}" if len(plan.layers) > 1 else ""
    if maps.activation is not None:
        io.output(f"activation{at}", maps.activation, [image.shape[0], *maps.activation.shape[1:]])
    if maps.gradient is not None:
        io.per_target(f"gradient{at}", maps.gradient, target, maps.gradient.shape[1:])
    if maps.cam is not None:
        io.per_target(f"cam{at}", maps.cam, target, maps.cam.shape[2:])
    if maps.input_gradient is not None:
        own = at if plan.method.at == "both" else ""
        io.per_target(f"input_gradient{own}", maps.input_gradient, target, image.shape[1:])
    if maps.heatmap is not None:
        io.per_target(f"heatmap{at}", maps.heatmap, target, [image.shape[axis] for axis in spatial_axes(image)])


def image_layout(image: Tensor) -> str | None:
    """NCHW or NHWC; None for inputs that are no images."""
    if len(image.shape) != 4:
        return None
    return "NCHW" if channel_axis(image) == 1 else "NHWC"
