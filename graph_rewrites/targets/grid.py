"""How a layer's positions, or its tokens, fill the space of the input."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import onnx
import onnx_graphsurgeon as gs

from ..axes.tokens import may_be_raster, traced_tokens
from ..axes.trace import trace_axes
from ..build.emitter import END, Emitter
from ..errors import OnnxplainError
from ..graph.operator_traits import traits_of
from ..graph.reachability import reach, sources
from ..graph.tensors import Tensor, is_float, value_of
from ..model.model import Model
from .axes import follows, has_samples, has_spatial_extent, layout, spatial_axes, traced

# Class, distillation and register tokens stand before the patches: DeiT has 2, DINOv2 with registers 5.
MAX_EXTRA_TOKENS = 16


@dataclass(frozen=True)
class Grid:
    """The layout of a tensor.

    Attributes:
        axes: batch axis, channel axis, spatial axes.
        tokens: the sizes, an int64 vector, of the grid that the tensor's tokens fill; None where its axes are spatial
            themselves.
        order: the index of each position's token, row by row; None where the last tokens are in that order.
    """

    axes: list[int]
    tokens: Tensor | None = None
    order: tuple[int, ...] | None = None

    def maps(self, op: Emitter, tensor: Tensor) -> Tensor:
        """The tensor as feature maps [rows, C, *spatial]; tokens beside the grid are left out."""
        if self.order is not None:
            tensor = op.Gather(tensor, list(self.order), axis=self.axes[2])
        elif self.tokens is not None:
            count = op.reduce("ReduceProd", self.tokens, [0])
            known = value_of(self.tokens)
            start = op.tensor([-int(known.prod())]) if known is not None else op.Neg(count)
            tensor = op.Slice(tensor, start, [END], [self.axes[2]])
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
    label = trace_axes(op.model).of(tensor)[axes[2]]
    traced = traced_tokens(label, image)
    if traced is not None and not traced.is_raster:
        return Grid(axes, op.tensor(list(traced.sizes)), traced.order)
    sizes = traced.sizes if traced is not None else token_grid(op.model, tensor, image)
    if sizes is None or (traced is None and label is not None and not may_be_raster(label)):
        raise OnnxplainError(
            f"{op.model.name}: the {tensor.shape[axes[2]]} tokens of layer {tensor.name!r} fill no grid over the input "
            f"{list(image.shape)}; export the model with a fixed input size, or choose a layer with spatial axes"
        )
    return Grid(axes, op.tensor(list(sizes)) if isinstance(sizes, tuple) else _grid_at_run_time(op, tensor, sizes))


def holds_tokens(tensor: Tensor, image: Tensor) -> bool:
    """Whether the layer has a single axis for the several spatial axes of the image."""
    return len(tensor.shape) == 3 and len(image.shape) > 3


def fills_a_grid(model: Model, tensor: Tensor, image: Tensor) -> bool:
    """Whether the layer's positions or tokens, as far as their number is known, can be those of a grid over the image.

    Those of windows, side by side along an axis, are none.
    """
    if not has_samples(tensor, image.shape[0]):
        return False
    if holds_tokens(tensor, image):
        label = trace_axes(model).of(tensor)[spatial_axes(tensor)[0]]
        if traced_tokens(label, image) is not None:
            return True
        return may_be_raster(label) and token_grid(model, tensor, image) is not None
    known = [(i, tensor.shape[axis]) for i, axis in enumerate(spatial_axes(tensor))]
    known = [(i, size) for i, size in known if isinstance(size, int)]
    grids = list(_grids(model, tensor, image))
    return not grids or any(all(grid[i] == size for i, size in known) for grid in grids)


def token_grid(model: Model, tensor: Tensor, image: Tensor) -> tuple[int, ...] | Tensor | None:
    """The rows and columns that a layer's tokens fill: numbers, or the feature maps that tell them at run time.

    The tokens are patches of the image, or of feature maps that a convolution makes of it, perhaps merged 2 x 2 by 2 x
    2; of the grids that leave up to 16 extra tokens, the one that leaves fewest is taken.
    """
    (axis,) = spatial_axes(tensor)
    count = tensor.shape[axis]
    if not isinstance(count, int):
        return _patches(tensor, image)
    best: tuple[int, tuple[int, ...]] | None = None
    for grid in _grids(model, tensor, image):
        extra = count - math.prod(grid)
        if 0 <= extra <= MAX_EXTRA_TOKENS and (best is None or extra < best[0]):
            best = extra, grid
    return best[1] if best else None


def _patches(tensor: Tensor, image: Tensor) -> Tensor | None:
    """The feature maps that tokens are made of, by operators that leave each where it is, or by linear ones too."""
    for through in (follows, lambda node: follows(node) or node.op == "MatMul"):
        for current, _ in traced(tensor, through):
            if any(_makes_maps(node, image) for node in current.inputs):
                return current
    return None


def _makes_maps(node: gs.Node, image: Tensor) -> bool:
    """Whether the node is a convolution over the image's axes."""
    if not traits_of(node).convolves:
        return False
    maps = node.outputs[0]
    return len(maps.shape or ()) == len(image.shape) and has_spatial_extent(maps)


def _grid_at_run_time(op: Emitter, tensor: Tensor, maps: Tensor) -> Tensor:
    """The sizes of the maps over the side, 1 or more, of the squares of positions that are merged to one token each."""
    sizes = op.sizes(maps, spatial_axes(maps))
    positions, count = op.reduce("ReduceProd", sizes, [0]), op.sizes(tensor, spatial_axes(tensor))
    share = op.Div(op.Cast(positions, to=onnx.TensorProto.FLOAT), op.Cast(count, to=onnx.TensorProto.FLOAT))
    side = op.Pow(op.Max(share, 1.0), 1 / (len(maps.shape) - 2))
    merged = op.Cast(op.Round(side), to=onnx.TensorProto.INT64)
    return op.Div(op.Add(sizes, op.Sub(merged, 1)), merged)


def _grids(model: Model, tensor: Tensor, image: Tensor) -> Iterator[tuple[int, ...]]:
    """The sizes, as far as they are known, of the feature maps before a tensor, the nearest first, or of the image.

    Whole and divided by 2, 3, 4 ..., padded to a whole number.
    """
    before = sources(model.graph.nodes, [tensor.name])
    made = [node.outputs[0] for node in model.graph.nodes if _makes_maps(node, image)]
    for maps in [maps for maps in reversed(made) if maps.name in before] or [image]:
        sizes = [maps.shape[axis] for axis in spatial_axes(maps)]
        if all(isinstance(size, int) for size in sizes):
            for divisor in range(1, max(sizes)):
                yield tuple(-(-size // divisor) for size in sizes)


def image_input(model: Model, layer: Tensor) -> Tensor:
    """The input that the layer is a coarser grid of: the first of the layer's rank (or of images, for tokens).

    Raises:
        OnnxplainError: no such input leads to the layer.
    """
    rank = len(layer.shape)
    before = sources(model.graph.nodes, [layer.name])
    leading = [tensor for tensor in model.inputs if tensor.shape is not None and tensor.name in before]
    for wanted in (rank, *((4, 5) if rank == 3 else ())):
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
