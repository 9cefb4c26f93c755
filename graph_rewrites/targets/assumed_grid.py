"""What other packages take a layer for where the graph does not tell: cells over the whole input, tokens row by row.

Only where that is asked for, with placement "resize"; `check` looks whether it is so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..axes.tokens import Tokens
from ..graph.operator_traits import traits_of
from ..graph.reachability import sources
from ..graph.tensors import Tensor
from ..model.model import Model
from .axes import has_spatial_extent, spatial_axes

# Class, distillation and register tokens stand before the patches: DeiT has 2, DINOv2 with registers 5.
MAX_EXTRA_TOKENS = 16


def assumed_tokens(model: Model, tensor: Tensor, image: Tensor) -> Tokens | None:
    """The tokens of a layer, the last ones row by row, where their number is that of a grid over the image.

    They are patches of the image, or of feature maps that a convolution makes of it, perhaps merged 2 x 2 by 2 x 2; of
    the grids that leave up to 16 extra tokens, the one that leaves fewest is taken.
    """
    (axis,) = spatial_axes(tensor)
    count = tensor.shape[axis]
    if not isinstance(count, int):
        return None
    extras = ((count - math.prod(grid), grid) for grid in _grids(model, tensor, image))
    fitting = [(extra, grid) for extra, grid in extras if 0 <= extra <= MAX_EXTRA_TOKENS]
    if not fitting:
        return None
    extra, grid = min(fitting, key=lambda each: each[0])
    return Tokens(grid, tuple(range(extra, count)), count, ())


def may_be_a_grid(model: Model, tensor: Tensor, image: Tensor) -> bool:
    """Whether the layer's sizes, as far as they are known, are those of a grid over the image."""
    known = [(i, tensor.shape[axis]) for i, axis in enumerate(spatial_axes(tensor))]
    grids = list(_grids(model, tensor, image))
    return not grids or any(all(grid[i] == size for i, size in known if isinstance(size, int)) for grid in grids)


def _grids(model: Model, tensor: Tensor, image: Tensor) -> Iterator[tuple[int, ...]]:
    """The sizes of the feature maps before a tensor, the nearest first, or of the image; and divided by 2, 3, 4 ..."""
    before = sources(model.graph.nodes, [tensor.name])
    made = [node.outputs[0] for node in model.graph.nodes if traits_of(node).convolves]
    maps = [each for each in reversed(made) if each.name in before and has_spatial_extent(each)]
    for each in [each for each in maps if len(each.shape) == len(image.shape)] or [image]:
        sizes = [each.shape[axis] for axis in spatial_axes(each)]
        if all(isinstance(size, int) for size in sizes):
            for divisor in range(1, max(sizes)):
                yield tuple(-(-size // divisor) for size in sizes)
