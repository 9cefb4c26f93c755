"""How a tensor is laid out: where its channels are, and how its positions or tokens fill the input's space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .backward import reach
from .emit import Emitter
from .errors import OnnxplainError
from .model_file import Model
from .tensors import Tensor, is_float, value_of

CONVOLUTIONS = {"Conv", "ConvTranspose"}
POOLS = {"MaxPool", "AveragePool", "LpPool"}
# Operators that take or make the channels as axis 1, or as the last one.
CHANNELS_FIRST = CONVOLUTIONS | POOLS | {"InstanceNormalization", "GroupNormalization"}
CHANNELS_LAST = {"MatMul", "LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"}
# One input decides each position: a layer's convolution, normalisation and activation count as one layer, its last.
POINTWISE = {
    *("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN", "Dropout", "Identity", "Cast"),
    *("Relu", "LeakyRelu", "PRelu", "Clip", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Swish"),
    *("Mish", "Gelu", "Erf", "Tanh", "Softplus", "Softsign", "ThresholdedRelu", "Add", "Sub", "Mul", "Div", "Max"),
    *("Min", "Where", "Pow", "Sqrt", "Exp", "Neg", "Abs", "Sum"),
}
SPATIAL = CONVOLUTIONS | POOLS | POINTWISE | {"Concat", "Resize", "Upsample", "Pad", "Transpose", "Slice"}
# Class, distillation and register tokens stand before the patches: DeiT has 2, DINOv2 with registers 5.
MAX_EXTRA_TOKENS = 16


@dataclass(frozen=True)
class Grid:
    """The layout of a tensor.

    Attributes:
        axes: batch axis, channel axis, spatial axes.
        tokens: the sizes, an int64 vector, of the grid that the tensor's last tokens fill row by row; None where its
            axes are spatial themselves.
    """

    axes: list[int]
    tokens: Tensor | None = None

    def maps(self, op: Emitter, tensor: Tensor) -> Tensor:
        """The tensor as feature maps [rows, C, *spatial]; tokens beside the grid are left out."""
        if self.tokens is not None:
            count = op.reduce("ReduceProd", self.tokens, [0])
            known = value_of(self.tokens)
            start = op.tensor([-int(known.prod())]) if known is not None else op.Neg(count)
            tensor = op.Slice(tensor, start, [np.iinfo(np.int64).max], [self.axes[2]])
        if self.axes != sorted(self.axes):
            tensor = op.Transpose(tensor, perm=self.axes)
        return tensor if self.tokens is None else op.Reshape(tensor, op.join([0, 0], self.tokens))

    def values(self, op: Emitter, maps: Tensor) -> Tensor:
        """Maps [rows, C, *spatial] in the tensor's own order of axes; without tokens, the inverse of `maps`."""
        inverse = [self.axes.index(axis) for axis in range(len(self.axes))]
        return maps if inverse == sorted(inverse) else op.Transpose(maps, perm=inverse)


def grid_of(op: Emitter, tensor: Tensor, image: Tensor) -> Grid:
    """The layout of a layer of a model that sees `image`.

    Raises:
        OnnxplainError: the layer holds tokens, and they fill no grid over the image.
    """
    axes = layout(tensor)
    if not holds_tokens(tensor, image):
        return Grid(axes)
    sizes = token_grid(op.model, tensor, image)
    if sizes is None:
        raise OnnxplainError(
            f"{op.model.name}: the {tensor.shape[axes[2]]} tokens of layer {tensor.name!r} fill no grid over the input "
            f"{list(image.shape)}; export the model with a fixed input size, or choose a layer with spatial axes"
        )
    return Grid(axes, op.tensor(list(sizes)) if isinstance(sizes, tuple) else op.sizes(sizes, spatial_axes(sizes)))


def layout(tensor: Tensor) -> list[int]:
    """The tensor's axes in the order batch, channel, spatial."""
    return [0, channel_axis(tensor), *spatial_axes(tensor)]


def holds_tokens(tensor: Tensor, image: Tensor) -> bool:
    """Whether the layer has a single axis for the several spatial axes of the image."""
    return len(tensor.shape) == 3 and len(image.shape) == 4


def token_grid(model: Model, tensor: Tensor, image: Tensor) -> tuple[int, int] | Tensor | None:
    """The rows and columns that a layer's tokens fill: numbers, or the feature maps that tell them at run time.

    The tokens are patches of the image, or of feature maps that a convolution makes of it, perhaps merged 2 x 2 by 2 x
    2; of the grids that leave up to 16 extra tokens, the one that leaves fewest is taken.
    """
    (axis,) = spatial_axes(tensor)
    count = tensor.shape[axis]
    before = [n.outputs[0] for n in model.graph.nodes if n.op in CONVOLUTIONS and len(n.outputs[0].shape or []) == 4]
    patches = [maps for maps in before if tensor.name in reach(model.graph.nodes, {maps.name})]
    if not isinstance(count, int):
        return patches[-1] if patches else None
    best: tuple[int, tuple[int, int]] | None = None
    for height, width in _grids([*reversed(patches), image]):
        extra = count - height * width
        if 0 <= extra <= MAX_EXTRA_TOKENS and (best is None or extra < best[0]) and height * width > 1:
            best = extra, (height, width)
    return best[1] if best else None


def _grids(maps: list[Tensor]) -> Iterator[tuple[int, int]]:
    """The sizes of feature maps, whole and divided by 2, 3, 4 ..."""
    for tensor in maps:
        sizes = [tensor.shape[axis] for axis in spatial_axes(tensor)]
        if all(isinstance(size, int) for size in sizes):
            for divisor in range(1, max(sizes) + 1):
                yield sizes[0] // divisor, sizes[1] // divisor


def image_input(model: Model, layer: Tensor) -> Tensor:
    """The input that the layer is a coarser grid of: the first of the layer's rank (or of images, for tokens).

    Raises:
        OnnxplainError: no such input leads to the layer.
    """
    rank = len(layer.shape)
    leading = [t for t in model.inputs if t.shape is not None and layer.name in reach(model.graph.nodes, {t.name})]
    for wanted in (rank, 4 if rank == 3 else rank):
        for tensor in leading:
            if len(tensor.shape) == wanted:
                return tensor
    raise OnnxplainError(f"{model.name}: no input of rank {rank} leads to layer {layer.name!r}; choose another layer")


def first_image(model: Model, score: Tensor) -> Tensor:
    """The first input with spatial axes that leads to the score.

    Raises:
        OnnxplainError: there is none.
    """
    leading = [t for t in model.inputs if score.name in reach(model.graph.nodes, {t.name})]
    image = next((tensor for tensor in leading if has_spatial_extent(tensor)), None)
    if image is None:
        shapes = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in leading)
        raise OnnxplainError(f"{model.name}: no input with spatial axes leads to the score ({shapes})")
    return image


def as_floats(model: Model, image: Tensor) -> Tensor:
    """The image as the first float tensor: itself, or what the model casts it to.

    Raises:
        OnnxplainError: an input of integers that is not simply cast.
    """
    if is_float(image):
        return image
    consumers = image.outputs
    if len(consumers) == 1 and consumers[0].op == "Cast" and is_float(consumers[0].outputs[0]):
        return consumers[0].outputs[0]
    raise OnnxplainError(
        f"{model.name}: input {image.name!r} holds no floats and is not simply cast to them, so no gradient reaches "
        "it; choose a method that explains a layer"
    )


def has_spatial_extent(tensor: Tensor) -> bool:
    """Whether the tensor has axes beside batch and channel of which one is (or may be) larger than 1."""
    if tensor.shape is None or len(tensor.shape) < 3:
        return False
    return any(tensor.shape[axis] != 1 for axis in spatial_axes(tensor))


def spatial_axes(tensor: Tensor) -> list[int]:
    """All axes but the batch and the channel axis, in order."""
    return [axis for axis in range(1, len(tensor.shape)) if axis != channel_axis(tensor)]


def channel_axis(tensor: Tensor) -> int:
    """The axis of the channels, by the nearest operator before the tensor that tells it.

    A convolution makes axis 1 the channels, a matrix product the last one; transposes between are followed. A graph
    input has no maker: there it is the axis that its first consumers, up to a convolution, treat as such.
    """
    axes = list(range(len(tensor.shape)))  # for each axis of the tensor at hand, the axis of `tensor` that it is
    waiting, seen, leaf = [(tensor, axes)], {tensor.name}, None
    for current, axes in waiting:
        if not current.inputs:
            leaf = leaf or (current, axes)
            continue
        node = current.inputs[0]
        if node.op in CHANNELS_FIRST:
            return axes[1]
        if node.op in CHANNELS_LAST:
            return axes[-1]
        if node.op not in POINTWISE | {"Concat", "Pad", "Resize", "Transpose"}:
            continue
        before = axes
        if node.op == "Transpose":
            perm = node.attrs.get("perm") or list(range(len(axes)))[::-1]
            before = [axes[perm.index(axis)] for axis in range(len(axes))]
        alike = [t for t in node.inputs if value_of(t) is None and t.shape and len(t.shape) == len(axes)]
        for found in sorted(alike, key=lambda t: not t.inputs):  # rather computed than a weight
            if found.name not in seen:
                seen.add(found.name)
                waiting.append((found, before))
    return leaf[1][_input_channel_axis(leaf[0])] if leaf else 1


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
