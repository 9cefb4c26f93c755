"""How a layer's positions, or its tokens, fill the space of the input."""

from __future__ import annotations

from dataclasses import dataclass

from ..axes.labels import Source, grid_source, images_of
from ..axes.tokens import Tokens, raster_at_the_end, traced_tokens
from ..axes.trace import AxisTrace, trace_axes
from ..build.emitter import END, Emitter
from ..errors import OnnxplainError
from ..graph.operator_traits import traits_of
from ..graph.reachability import reach, sources
from ..graph.tensors import Tensor, is_float, value_of
from ..model.model import Model
from .assumed_grid import assumed_tokens
from .axes import has_spatial_extent, layout, spatial_axes


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


@dataclass(frozen=True)
class Located:
    """The axis of a layer's tokens, and what the graph tells of their places on the image.

    `tokens` are those of a known number; of an open one, the grids over the image's axes whose positions, row by row,
    are the last of them.
    """

    axis: int
    tokens: Tokens | tuple[Source, ...]


def locate(model: Model, trace: AxisTrace, tensor: Tensor, image: Tensor, assume: bool = False) -> Located | None:
    """Where a layer's tokens lie on the image; None of a layer with spatial axes of its own.

    `assume`: what the graph does not tell is taken as `assumed_tokens` has it.

    Raises:
        OnnxplainError: the graph does not tell.
    """
    if not holds_tokens(tensor, image):
        return None
    axis, tokens = tokens_of(trace, tensor, image)
    if tokens is None and assume:
        tokens = assumed_tokens(model, tensor, image)
    tensors = model.graph.tensors()
    if tokens is None or (isinstance(tokens, tuple) and any(source.tensor not in tensors for source in tokens)):
        raise OnnxplainError(
            f"{model.name}: the {tensor.shape[axis]} tokens of layer {tensor.name!r} fill no grid over the input "
            f"{list(image.shape)}, as far as the graph tells; export the model with a fixed input size, or choose "
            "another layer"
        )
    return Located(axis, tokens)


def grid_of(op: Emitter, tensor: Tensor, located: Located | None) -> Grid:
    """The layout of a layer, whose tokens are `located`."""
    if located is None:
        return Grid(layout(tensor))
    axes, tokens = [0, 3 - located.axis, located.axis], located.tokens
    if isinstance(tokens, Tokens):
        return Grid(axes, op.tensor(list(tokens.sizes)), None if tokens.is_raster else tokens.order)
    tensors = op.model.graph.tensors()
    return Grid(axes, op.join(*(op.size(tensors[source.tensor], source.axis) for source in tokens)))


def holds_tokens(tensor: Tensor, image: Tensor) -> bool:
    """Whether the layer has a single axis for the several spatial axes of the image."""
    return len(tensor.shape) == 3 and len(image.shape) > 3


def tokens_of(trace: AxisTrace, tensor: Tensor, image: Tensor) -> tuple[int, Tokens | tuple[Source, ...] | None]:
    """The axis of a layer's tokens, and what the graph tells of them.

    Returns:
        The tokens of a known number; of an open one, the grids over the image's axes whose positions, row by row, are
        the last of them; None where the graph does not tell.
    """
    labels = trace.of(tensor)
    for axis in (1, 2):
        found = traced_tokens(labels[axis], image) or raster_at_the_end(labels[axis], image)
        if found:
            return axis, found
    return spatial_axes(tensor)[0], None


def fills_a_grid(trace: AxisTrace, tensor: Tensor, image: Tensor) -> bool:
    """Whether the graph tells where the layer's positions, or its tokens, lie on the image."""
    if holds_tokens(tensor, image):
        return tokens_of(trace, tensor, image)[1] is not None
    return grids_over(trace, tensor, image) is not None


def grids_over(trace: AxisTrace, tensor: Tensor, image: Tensor) -> list[tuple[int, Source | None]] | None:
    """Which spatial axis of a layer is a grid over each spatial axis of the image, in the image's order, and which.

    An axis of one position stands for all; None where the graph does not tell of all axes.
    """
    labels = trace.of(tensor)
    wanted = spatial_axes(image)
    if holds_tokens(tensor, image):
        tokens = tokens_of(trace, tensor, image)[1]
        sources = tokens.axes if isinstance(tokens, Tokens) else tokens
        return None if sources is None else [(index, source) for index, source in enumerate(sources)]
    found: dict[int, tuple[int, Source | None]] = {}
    alone: list[int] = []
    for index, axis in enumerate(spatial_axes(tensor)):
        source = grid_source(labels[axis])
        if source is not None and source.image is not None and source.image[0] == image.name:
            found[source.image[1]] = index, source
        elif tensor.shape[axis] == 1:
            alone.append(index)
    missing = [axis for axis in wanted if axis not in found]
    if len(missing) != len(alone) or len(found) + len(alone) != len(wanted):
        return None
    found.update({axis: (index, None) for axis, index in zip(missing, alone, strict=True)})
    return [found[axis] for axis in wanted]


def image_input(model: Model, trace: AxisTrace, layer: Tensor) -> Tensor:
    """The input that the layer is a grid over, by what its axes are.

    Where the graph does not tell, it is the only one of the layer's rank, or of images, for tokens.

    Raises:
        OnnxplainError: no such input leads to the layer, or several do.
    """
    before = sources(model.graph.nodes, [layer.name])
    leading = {t.name: t for t in model.inputs if t.shape is not None and t.name in before}
    named = [name for label in trace.of(layer)[1:] for name in images_of(label) if name in leading]
    if named:
        return leading[max(named, key=named.count)]
    rank = len(layer.shape)
    for wanted in (rank, *((4, 5) if rank == 3 else ())):
        alike = [tensor for tensor in leading.values() if len(tensor.shape) == wanted]
        if len(alike) > 1:
            raise OnnxplainError(
                f"{model.name}: layer {layer.name!r} may be a grid over any of the inputs "
                f"{', '.join(tensor.name for tensor in alike)}; choose another layer"
            )
        if alike:
            return alike[0]
    raise OnnxplainError(f"{model.name}: no input of rank {rank} leads to layer {layer.name!r}; choose another layer")


def first_image(model: Model, score: Tensor) -> Tensor:
    """The first input that leads to the score and that a convolution looks at, or else the first with spatial axes.

    Raises:
        OnnxplainError: there is none.
    """
    leading = [t for t in model.inputs if score.name in reach(model.graph.nodes, {t.name})]
    images = [tensor for tensor in leading if has_spatial_extent(tensor)]
    if not images:
        shapes = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in leading)
        raise OnnxplainError(f"{model.name}: no input with spatial axes leads to the score ({shapes})")
    if len(images) == 1:
        return images[0]
    trace = trace_axes(model)
    seen = {
        name
        for node in model.graph.nodes
        if traits_of(node).convolves and node.inputs[0].shape
        for label in trace.of(node.inputs[0])[1:]
        for name in images_of(label)
    }
    return next((tensor for tensor in images if tensor.name in seen), images[0])


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
