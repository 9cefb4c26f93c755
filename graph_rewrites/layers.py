"""The layers that can be explained: tensors with spatial axes on a path from a convolution to the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from .backward import tensors_between
from .errors import OnnxplainError, UsageError, closest
from .model_file import Model
from .tensors import Tensor, value_of

CONVOLUTIONS = {"Conv", "ConvTranspose"}
POOLS = {"MaxPool", "AveragePool", "LpPool"}
# One input decides each position: a layer's convolution, normalisation and activation count as one layer, its last.
POINTWISE = {
    *("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN", "Dropout", "Identity", "Cast"),
    *(
        "Relu",
        "LeakyRelu",
        "PRelu",
        "Clip",
        "Elu",
        "Selu",
        "Celu",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Swish",
        "Mish",
    ),
    *(
        "Gelu",
        "Erf",
        "Tanh",
        "Softplus",
        "Softsign",
        "ThresholdedRelu",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Max",
        "Min",
        "Where",
    ),
    *("Pow", "Sqrt", "Exp", "Neg", "Abs", "Sum"),
}
SPATIAL = CONVOLUTIONS | POOLS | POINTWISE | {"Concat", "Resize", "Upsample", "Pad", "Transpose", "Slice"}


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
    """The layers on the path to the tensor `score`, in graph order; the last one that is no pooling is the default.

    That is the last convolutional layer after its activation, as in Grad-CAM (Selvaraju et al. 2017, section 3).
    """
    nodes = model.graph.nodes
    path = tensors_between(nodes, [tensor.name for tensor in model.inputs], [score])
    spatial: set[str] = set()
    ends: list[gs.Node] = []
    for node in nodes:
        out = node.outputs[0] if node.outputs else None
        starts = node.op in CONVOLUTIONS
        continues = node.op in SPATIAL and any(tensor.name in spatial for tensor in node.inputs)
        if out is None or out.name not in path or not (starts or continues) or not has_spatial_extent(out):
            continue
        spatial.add(out.name)
        if len(out.outputs) != 1 or out.outputs[0].op not in POINTWISE:
            ends.append(node)
    default = next((node for node in reversed(ends) if node.op not in POOLS), None)
    return [Layer(n.outputs[0].name, n.op, tuple(n.outputs[0].shape), n is default) for n in ends]


def choose_layers(model: Model, score: str, names: Sequence[str] | None) -> list[Tensor]:
    """The tensors to explain: those named (by tensor or by node), or the default layer.

    Raises:
        UsageError: an unknown name.
        OnnxplainError: no layer has spatial axes, or a named one is not on the path to the score.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.tensors().values() if isinstance(tensor, gs.Variable)}
    if not names:
        default = [layer.name for layer in candidate_layers(model, score) if layer.is_default]
        if not default:
            raise OnnxplainError(
                f"{model.name}: no convolutional layer with spatial axes lies on the path to {score!r}; "
                "name a tensor with layers="
            )
        return [tensors[default[0]]]
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


def has_spatial_extent(tensor: Tensor) -> bool:
    """Whether the tensor has axes beside batch and channel of which one is (or may be) larger than 1."""
    if tensor.shape is None or len(tensor.shape) < 3:
        return False
    return any(tensor.shape[axis] != 1 for axis in spatial_axes(tensor))


def spatial_axes(tensor: Tensor) -> list[int]:
    """All axes but the batch and the channel axis, in order."""
    return [axis for axis in range(1, len(tensor.shape)) if axis != channel_axis(tensor)]


def channel_axis(tensor: Tensor) -> int:
    """The channel axis: 1 where a convolution or pooling made the tensor, carried through transposes after it.

    A graph input has no maker: there it is the axis that its first consumers, up to a convolution, treat as such.
    """
    back: list[list[int]] = []
    while len(tensor.inputs) == 1:
        node = tensor.inputs[0]
        if node.op == "Transpose":
            back.append(node.attrs.get("perm") or list(range(len(tensor.shape)))[::-1])
        elif node.op in CONVOLUTIONS | POOLS or node.op not in POINTWISE | {"Concat", "Pad", "Resize"}:
            break
        alike = [t for t in node.inputs if value_of(t) is None and t.shape and len(t.shape) == len(tensor.shape)]
        if not alike:
            break
        tensor = next((t for t in alike if t.inputs), alike[0])  # rather computed than a weight
    axis = 1 if tensor.inputs else _input_channel_axis(tensor)
    for perm in reversed(back):
        axis = perm.index(axis)
    return axis


def _input_channel_axis(tensor: Tensor) -> int:
    """The axis that the nearest convolution or pooling takes for the channels, through transposes between; else 1."""
    waiting = [(tensor, list(range(len(tensor.shape))))]  # with, for each axis, the input's axis that it is
    seen = {tensor.name}
    for tensor, axes in waiting:
        for node in tensor.outputs:
            if node.op in CONVOLUTIONS | POOLS:
                return axes[1]
            out = node.outputs[0]
            if node.op not in SPATIAL | {"DequantizeLinear", "QuantizeLinear"} or out.name in seen:
                continue
            seen.add(out.name)
            perm = node.attrs.get("perm") or range(len(axes))[::-1]
            waiting.append((out, [axes[axis] for axis in perm] if node.op == "Transpose" else axes))
    return 1
