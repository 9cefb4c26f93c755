"""The layers that can be explained: tensors with spatial axes, or with tokens, on a path to the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from .backward import reach, tensors_between
from .errors import OnnxplainError, UsageError, closest
from .grid import (
    CHANNELS_LAST,
    CONVOLUTIONS,
    POINTWISE,
    POOLS,
    SPATIAL,
    channel_axis,
    has_spatial_extent,
    holds_tokens,
    image_input,
    token_grid,
)
from .model_file import Model
from .tensors import Tensor

ALL = "all"


@dataclass(frozen=True)
class Layer:
    """A layer that can be explained.

    `name` is the tensor that holds its feature maps, `op_type` the operator that makes it, `shape` its sizes (a string
    or None where a size is known only at run time), `is_default` whether it is explained when none is chosen.
    """

    name: str
    op_type: str
    shape: tuple[int | str | None, ...]
    is_default: bool = False


def candidate_layers(model: Model, score: str) -> list[Layer]:
    """The layers on the path to the tensor `score`, in graph order.

    The default is the last convolutional layer after its activation, as in Grad-CAM (Selvaraju et al. 2017, section 3);
    in transformers the last layer of tokens at which the score depends on all of them.
    """
    nodes = model.graph.nodes
    path = tensors_between(nodes, [tensor.name for tensor in model.inputs], [score])
    spatial: set[str] = set()
    ends: list[gs.Node] = []
    blocks: list[gs.Node] = []
    for node in nodes:
        out = node.outputs[0] if node.outputs else None
        if out is None or out.name not in path:
            continue
        starts = node.op in CONVOLUTIONS
        continues = node.op in SPATIAL and any(tensor.name in spatial for tensor in node.inputs)
        if (starts or continues) and has_spatial_extent(out):
            spatial.add(out.name)
            if len(out.outputs) != 1 or out.outputs[0].op not in POINTWISE:
                ends.append(node)
        elif _is_block(node, path) and has_spatial_extent(out) and _fills_a_grid(model, out):
            blocks.append(node)
    found = [node for node in nodes if any(node is one for one in (*ends, *blocks))]
    default = _default(model, ends, blocks, path, score)
    return [Layer(n.outputs[0].name, n.op, tuple(n.outputs[0].shape), n is default) for n in found]


def _default(
    model: Model, ends: Sequence[gs.Node], blocks: Sequence[gs.Node], path: set[str], score: str
) -> gs.Node | None:
    """The last convolutional layer; the last block where blocks follow it."""
    convolutional = [node for node in ends if node.op not in POOLS]
    last = convolutional[-1] if convolutional else None
    after = reach(model.graph.nodes, {last.outputs[0].name}) if last is not None else None
    later = [node for node in blocks if after is None or node.outputs[0].name in after]
    if not later:
        return last
    # With a class token, the tokens of the last block's output lead nowhere but through an attention after them.
    mixing = [n for n in model.graph.nodes if _mixes_tokens(n, path)]
    mixed = [n for n in later if _feeds(model, n, mixing, score)]
    return later[-1] if _keeps_all_tokens(model, later[-1].outputs[0]) or not mixed else mixed[-1]


def _is_block(node: gs.Node, path: set[str]) -> bool:
    """Whether the node ends or begins a transformer's block: a residual sum or normalisation, channels last."""
    out = node.outputs[0]
    if out.shape is None or len(out.shape) not in (3, 4):
        return False
    computed = [tensor for tensor in node.inputs if tensor.name in path]
    residual = node.op == "Add" and len(computed) == 2 and len({tuple(t.shape or ()) for t in computed}) == 1
    normalises = node.op in CHANNELS_LAST - {"MatMul"}
    return (residual or normalises) and channel_axis(out) == len(out.shape) - 1


def _fills_a_grid(model: Model, tensor: Tensor) -> bool:
    try:
        image = image_input(model, tensor)
    except OnnxplainError:
        return False
    return not holds_tokens(tensor, image) or token_grid(model, tensor, image) is not None


def _mixes_tokens(node: gs.Node, path: set[str]) -> bool:
    """Whether the node is a product of two computed tensors, as in attention, or an attention itself."""
    computed = [tensor for tensor in node.inputs if tensor.name in path]
    return "Attention" in node.op or (node.op in ("MatMul", "Einsum") and len(computed) == 2)


def _feeds(model: Model, node: gs.Node, mixing: Sequence[gs.Node], score: str) -> bool:
    after = tensors_between(model.graph.nodes, [node.outputs[0].name], [score])
    return any(any(t.name in after for t in one.inputs) and one.outputs[0].name in after for one in mixing)


def _keeps_all_tokens(model: Model, tensor: Tensor) -> bool:
    """Whether the tokens fill their grid without a rest, so that none of them is a class token."""
    image = image_input(model, tensor)
    grid = token_grid(model, tensor, image) if holds_tokens(tensor, image) else ()
    return not isinstance(grid, tuple) or not grid or grid[0] * grid[1] == tensor.shape[1]


def choose_layers(model: Model, score: str, names: str | Sequence[str] | None) -> list[Tensor]:
    """The tensors to explain: those named (by tensor or by node), all candidates for "all", or the default layer.

    Raises:
        UsageError: an unknown name.
        OnnxplainError: no layer has spatial axes, or a named one is not on the path to the score.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.tensors().values() if isinstance(tensor, gs.Variable)}
    names = [names] if isinstance(names, str) else names
    if not names or (list(names) == [ALL] and ALL not in tensors):
        found = [layer.name for layer in candidate_layers(model, score) if names or layer.is_default]
        if not found:
            raise OnnxplainError(
                f"{model.name}: no convolutional layer with spatial axes lies on the path to {score!r}; "
                "name a tensor with layers="
            )
        return [tensors[name] for name in found]
    by_node = {node.name: node.outputs[0] for node in model.graph.nodes if node.name and node.outputs}
    chosen = []
    for name in dict.fromkeys(names):
        tensor = tensors.get(name) or by_node.get(name)
        if tensor is None:
            known = [layer.name for layer in candidate_layers(model, score)]
            raise UsageError(f"{model.name}: no layer {name!r}; {closest(name, known)}")
        if tensor.name not in tensors_between(model.graph.nodes, [tensor.name], [score]):
            raise OnnxplainError(
                f"{model.name}: layer {name!r} is not on the path to the score {score!r}; choose another"
            )
        if not has_spatial_extent(tensor):
            raise OnnxplainError(
                f"{model.name}: layer {name!r} has shape {tensor.shape}, no spatial axes; choose another"
            )
        chosen.append(tensor)
    return chosen
