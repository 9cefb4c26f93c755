"""The blocks of residual networks: layers at which a sum of two branches is complete."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from ..errors import OnnxplainError
from ..graph.operator_traits import traits_of
from ..model.model import ModelSource, read
from .layers import Layer, candidate_layers
from .scores.score import ScoreSource, find_logits


def residual_blocks(model: ModelSource, *, score: ScoreSource | None = None) -> list[Layer]:
    """Lists those of `layers` that end a residual block (He et al. 2016), and the default one, in graph order.

    A block ends with the sum of its branches, or with the normalisation and activation behind it where the sum leads
    nowhere else. The default layer may lie behind the last block.

    Args:
        model: path or `ModelProto`.
        score: what is explained, as in `rewrite`; needed where there are several outputs.

    Raises:
        OnnxplainError: the model has no such block.
    """
    work = read(model)
    found = candidate_layers(work, find_logits(work, score).tensor.name)
    makers = {tensor.name: node for node in work.graph.nodes for tensor in node.outputs}
    blocks = {layer.name for layer in found if _ends_block(makers[layer.name])}
    if not blocks:
        raise OnnxplainError(f"{work.name}: none of its {len(found)} layers ends a residual block; name layers instead")
    return [layer for layer in found if layer.name in blocks or layer.is_default]


def _ends_block(node: gs.Node) -> bool:
    while True:
        computed = [tensor for tensor in node.inputs if tensor.inputs]
        if traits_of(node).adds and len(computed) > 1:
            return True
        if not traits_of(node).completes_layer or len(computed) != 1 or len(computed[0].outputs) != 1:
            return False
        node = computed[0].inputs[0]
