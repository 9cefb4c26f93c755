"""The layers that can be explained: tensors with spatial axes, or with tokens, on a path to the score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from ..errors import OnnxplainError, UsageError, closest
from ..graph.operator_traits import traits_of
from ..graph.reachability import reach, sources, tensors_between
from ..graph.tensors import Tensor, value_of
from ..model.model import Model
from .assumed_grid import MAX_EXTRA_TOKENS, assumed_tokens, may_be_a_grid
from .axes import channel_axis, has_spatial_extent, spatial_axes
from .grid import fills_a_grid, holds_tokens, image_input
from .samples import SampleAxes, sample_axes

ALL = "all"


@dataclass(frozen=True)
class Layer:
    """A layer that can be explained.

    `name` is the tensor that holds its feature maps, `op_type` the operator that makes it, `shape` its sizes (a string
    or None where a size is known only at run time), `is_default` whether it is explained when none is chosen. `reason`
    says of what is no layer why, as the end of a sentence on it.
    """

    name: str
    op_type: str
    shape: tuple[int | str | None, ...]
    is_default: bool = False
    reason: str | None = None


def candidate_layers(model: Model, score: str) -> list[Layer]:
    """The layers on the path to the tensor `score`, in graph order.

    Of tokens, the layers at which the score depends on all of them. The default is the last convolutional layer after
    its activation, as in Grad-CAM (Selvaraju et al. 2017, section 3), in transformers the last one of tokens; of a
    model that makes maps of its own, as for segmentation, the last layer that weights still follow.
    """
    return [layer for layer in survey_layers(model, score) if layer.reason is None]


def survey_layers(model: Model, score: str, assume: bool = False) -> list[Layer]:
    """The candidates, and among them what is no layer for a `reason`.

    None is the default where later blocks are left out, since an early layer is no substitute. `assume`: what the graph
    does not tell of places is taken as `assumed_grid` has it.
    """
    nodes = model.graph.nodes
    path = tensors_between(nodes, [tensor.name for tensor in model.inputs], [score])
    whole = _seen_whole(nodes, path, score)
    outputs = {tensor.name for tensor in model.graph.outputs}
    samples = sample_axes(model)
    spatial: set[str] = set()
    ends: list[gs.Node] = []
    blocks: list[gs.Node] = []
    reasons: dict[str, str] = {}
    lost: set[str] = set()
    for node in nodes:
        out = node.outputs[0] if node.outputs else None
        if out is None or out.name not in path or id(node) not in model.sources:  # what a score appends is no layer
            continue
        starts = traits_of(node).convolves
        continues = traits_of(node).makes_maps and any(tensor.name in spatial for tensor in node.inputs)
        kind = None
        if (starts or continues) and has_spatial_extent(out):
            spatial.add(out.name)
            if _origin(node).op == "Pad":  # a layer with a border is no layer of its own
                continue
            if out.name in outputs or not _continued_by(out, _belongs_to_layer_before):
                kind = ends
        elif out.name in whole and _is_block(node, path) and has_spatial_extent(out):
            kind = blocks
        if kind is None:
            continue
        reason = _why_not(model, samples, out, assume)
        if reason is None:
            kind.append(node)
        elif kind is ends or len(out.shape or ()) == 3:
            reasons[out.name] = reason
        if reason is not None and (samples.is_unknown(out) or _why_not(model, samples, out, assume=True) is None):
            lost.add(out.name)
    found = {node.outputs[0].name: node for node in (*ends, *blocks)}
    maps = _made_of_maps(model, path)
    default = _default(nodes, [node for node in ends if node.outputs[0].name not in maps] or ends, blocks)
    if default is not None and lost & reach(nodes, {default.outputs[0].name}):
        default = None
    made = {node.outputs[0].name: node for node in nodes if node.outputs}
    return [
        Layer(name, node.op, tuple(map(_told, node.outputs[0].shape)), node is default, reasons.get(name))
        for name, node in made.items()
        if name in found or name in reasons
    ]


def _why_not(model: Model, samples: SampleAxes, tensor: Tensor, assume: bool) -> str | None:
    """Why a tensor is no layer, as the end of a sentence on it; None where it is one."""
    if tensor.shape is not None and not samples.are_rows(tensor):
        return samples.why_no_rows(tensor)
    try:
        image = image_input(model, samples.trace, tensor)
    except OnnxplainError:
        return "is no grid over any input"
    if fills_a_grid(samples.trace, tensor, image):
        return None
    if assume and holds_tokens(tensor, image):
        count = tensor.shape[spatial_axes(tensor)[0]]
        fits = not isinstance(count, int) or assumed_tokens(model, tensor, image) is not None
        return None if fits else "has too few or too many tokens for a grid"
    if assume and may_be_a_grid(model, tensor, image):
        return None
    return f"may lie anywhere on {image.name!r}, for all that the graph tells"


def _default(nodes: Sequence[gs.Node], ends: Sequence[gs.Node], blocks: Sequence[gs.Node]) -> gs.Node | None:
    """The last convolutional layer; the last block where blocks follow it."""
    convolutional = [node for node in ends if not _is_pooled_or_resampled(_origin(node))]
    last = convolutional[-1] if convolutional else None
    after = reach(nodes, {last.outputs[0].name}) if last is not None else None
    later = [node for node in blocks if after is None or node.outputs[0].name in after]
    return later[-1] if later else last


def _origin(node: gs.Node) -> gs.Node:
    """The node that made the values which this one, and others before it, only pass on."""
    while _passes_values(node) and node.inputs[0].inputs:
        node = node.inputs[0].inputs[0]
    return node


def _made_of_maps(model: Model, path: set[str]) -> set[str]:
    """The tensors that lead to an output with spatial axes, and on the path to no further layer with weights."""
    nodes = model.graph.nodes
    outputs = [tensor.name for tensor in model.graph.outputs if has_spatial_extent(tensor)]
    weighted = [node for node in nodes if traits_of(node).weighted]
    followed = sources(nodes, [t.name for n in weighted if n.outputs[0].name in path for t in n.inputs])
    return sources([node for node in nodes if not traits_of(node).weighted], outputs) - followed


def _seen_whole(nodes: Sequence[gs.Node], path: set[str], score: str) -> set[str]:
    """The tensors of which the score sees every token.

    Where only a class token leads on to the score, it sees the other tokens by the attentions before that alone.
    """
    mixing = [node.outputs[0].name for node in nodes if _mixes_tokens(node, path)]
    return sources([node for node in nodes if not _picks_tokens(node)], [score]) | sources(nodes, mixing)


def _is_block(node: gs.Node, path: set[str]) -> bool:
    """Whether the node ends or begins a transformer's block: a residual sum or normalisation, channels last."""
    out = node.outputs[0]
    if out.shape is None or len(out.shape) not in (3, 4, 5):
        return False
    computed = [tensor for tensor in node.inputs if tensor.name in path]
    residual = node.op == "Add" and len(computed) == 2 and len({len(t.shape or ()) for t in computed}) == 1
    return (residual or _normalises(node, path)) and channel_axis(out) == len(out.shape) - 1


def _normalises(node: gs.Node, path: set[str]) -> bool:
    """Whether the node is a normalisation, or ends one in parts: (x - mean) / sqrt(variance) * scale + bias."""
    if _is_layer_norm(node):
        return True
    if _continued_by(node.outputs[0], lambda reader: traits_of(reader).completes_layer):
        return False
    while node.op in ("Add", "Mul", "Cast"):
        computed = [tensor for tensor in node.inputs if tensor.name in path]
        if len(computed) != 1 or not computed[0].inputs:
            break
        node = computed[0].inputs[0]
    if node.op not in ("Div", "Mul") or node.inputs[1].name not in path:
        return False
    (maker,) = node.inputs[1].inputs or (None,)
    return maker is not None and maker.op == ("Sqrt" if node.op == "Div" else "Reciprocal")


def _continued_by(tensor: Tensor, continues: Callable[[gs.Node], bool]) -> bool:
    """Whether the tensor is only half a layer: one operator of a kind takes it further, and nothing else uses it."""
    return len(tensor.outputs) == 1 and continues(tensor.outputs[0])


def _belongs_to_layer_before(node: gs.Node) -> bool:
    return traits_of(node).completes_layer or _is_layer_norm(node) or node.op == "Transpose"


def _is_layer_norm(node: gs.Node) -> bool:
    return traits_of(node).normalises and traits_of(node).channels == -1


def _is_pooled_or_resampled(node: gs.Node) -> bool:
    return traits_of(node).pools or traits_of(node).resamples


def _passes_values(node: gs.Node) -> bool:
    """Whether the node makes the values of its input, rounded or in another order of axes."""
    traits = traits_of(node)
    is_quantiser = "QuantizeLinear" in node.op and (traits.output_scale == 1 or traits.reads_quantised)
    return traits.values == "in place" or node.op == "Transpose" or is_quantiser


def _picks_tokens(node: gs.Node) -> bool:
    """Whether the node takes few tokens out of all, as a class token is taken."""
    tokens = node.inputs[0] if node.op in ("Gather", "Slice") else None
    if tokens is None or len(tokens.shape or ()) != 3 or tokens.shape[1] == 1 or channel_axis(tokens) != 2:
        return False
    if node.op == "Gather":
        indices = value_of(node.inputs[1])
        return bool(node.attrs.get("axis", 0) == 1 and indices is not None and indices.size <= MAX_EXTRA_TOKENS)
    start, end, axis = [value_of(tensor) for tensor in node.inputs[1:4]] if len(node.inputs) > 3 else [None] * 3
    if start is None or end is None or axis is None or list(axis) != [1]:
        return False
    return bool(0 <= start[0] < end[0] <= MAX_EXTRA_TOKENS)


def _mixes_tokens(node: gs.Node, path: set[str]) -> bool:
    """Whether the node is a product of two computed tensors, as in attention, or an attention itself."""
    if not node.outputs or node.outputs[0].name not in path:
        return False
    computed = [tensor for tensor in node.inputs if tensor.name in path]
    return "Attention" in node.op or (node.op in ("MatMul", "Einsum") and len(computed) == 2)


def adds_a_bias(node: gs.Node, path: set[str]) -> bool:
    """Whether the node, on a path, adds a bias: a convolution's, a normalisation's, or a constant."""
    others = [tensor for tensor in node.inputs if tensor.name not in path]
    if not node.outputs or node.outputs[0].name not in path or len(others) == len(node.inputs):
        return False
    if node.op in ("Conv", "ConvTranspose"):
        return len(node.inputs) > 2
    return node.op == "BatchNormalization" or (node.op == "Add" and len(others) == 1)


def _told(size: int | str | None) -> int | str | None:
    """The size as the model tells it; None where shape inference made up a symbol."""
    return None if isinstance(size, str) and size.startswith("unk__") else size


def choose_layers(model: Model, score: str, names: str | Sequence[str] | None, assume: bool = False) -> list[Tensor]:
    """The tensors to explain: those named (by tensor or by node), all candidates for "all", or the default layer.

    Raises:
        UsageError: an unknown name.
        OnnxplainError: no layer has spatial axes, or a named one is not on the path to the score.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.tensors().values() if isinstance(tensor, gs.Variable)}
    names = [names] if isinstance(names, str) else names
    if not names or (list(names) == [ALL] and ALL not in tensors):
        every = survey_layers(model, score, assume)
        found = [layer.name for layer in every if layer.reason is None and (names or layer.is_default)]
        if not found and any(layer.reason is None for layer in every):
            last = [layer for layer in every if layer.reason is not None][-1]
            raise OnnxplainError(
                f"{model.name}: the last layers cannot be placed: {last.name!r} {list(last.shape)} {last.reason}; name "
                "one with layers=, or take placement 'resize', which takes tokens row by row ('check' looks)"
            )
        if not found and every:
            last = every[-1]
            raise OnnxplainError(
                f"{model.name}: none of the {len(every)} layers on the path to {score!r} can be explained; the last, "
                f"{last.name!r} {list(last.shape)}, {last.reason}; choose a method that explains the input"
            )
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
        samples = sample_axes(model)
        if tensor.shape is not None and not samples.are_rows(tensor):
            raise OnnxplainError(
                f"{model.name}: layer {name!r} {list(tensor.shape)} {samples.why_no_rows(tensor)}; choose another"
            )
        if not has_spatial_extent(tensor):
            raise OnnxplainError(
                f"{model.name}: layer {name!r} has shape {tensor.shape}, no spatial axes; choose another"
            )
        chosen.append(tensor)
    return chosen
