"""Where the cells of a layer lie on the input: at their receptive fields, of a part of it, mirrored, or turned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..axes.labels import Source
from ..axes.trace import AxisTrace, lost_behind
from ..errors import OnnxplainError, UsageError, closest
from ..graph.tensors import Tensor
from ..model.model import Model
from .axes import spatial_axes
from .grid import grids_over

RECEPTIVE_FIELD, RESIZE = PLACEMENTS = ("receptive-field", "resize")


@dataclass(frozen=True)
class Placement:
    """The place of a map's cells, along each spatial axis of the input in order.

    Attributes:
        axes: which spatial axis of the map (0, 1 ...) runs along the input's.
        scales: pixels from cell to cell; negative where the map is mirrored.
        offsets: the pixel of cell 0.
        reaches: whether the outermost cells see all up to the input's border; else what is half a cell beyond them was
            cut off, and the map is 0 there.
    """

    axes: tuple[int, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    reaches: tuple[bool, ...]

    def record(self) -> dict[str, Sequence[float]]:
        """Plain JSON types, for the metadata."""
        return {"axes": self.axes, "scales": self.scales, "offsets": self.offsets, "reaches": self.reaches}


def placement_of(
    model: Model, trace: AxisTrace, layer: Tensor, image: Tensor, how: str = RECEPTIVE_FIELD
) -> Placement | None:
    """Where the layer's cells lie: at the middle of their receptive fields, by strides, windows, crops, flips ...

    Paddings count as if they were split evenly on both sides. None where the cells cover the input evenly, as under
    'same' padding, or where `how` is "resize": there the map is spread over all of it.

    Raises:
        UsageError: an unknown `how`.
        OnnxplainError: the graph does not tell where the layer lies, or by how much the input is cropped before it.
    """
    if how not in PLACEMENTS:
        raise UsageError(f"unknown placement {how!r}; {closest(how, PLACEMENTS)}")
    if how == RESIZE:
        return None
    found = grids_over(trace, layer, image)
    if found is None:
        raise OnnxplainError(
            f"{model.name}: the graph does not tell where layer {layer.name!r} {list(layer.shape)} lies on "
            f"{image.name!r}{lost_behind(model, trace, layer)}; choose another layer, or placement 'resize' to spread "
            "its map over the input"
        )
    axes = tuple(index for index, _ in found)
    lengths = [image.shape[axis] for axis in spatial_axes(image)]
    pairs = [(source, size) for (_, source), size in zip(found, lengths, strict=True)]
    if axes == tuple(sorted(axes)) and all(_is_even(*pair) for pair in pairs):
        return None
    scales, offsets = zip(*(_along(*pair) for pair in pairs), strict=True)
    if any(map(math.isnan, (*scales, *offsets))):
        raise OnnxplainError(
            f"{model.name}: what is cut off the input before layer {layer.name!r} depends on its size; export the "
            "model with a fixed input size, or take placement 'resize'"
        )
    return Placement(axes, scales, offsets, tuple(source is None or not source.is_cut for source, _ in pairs))


def _is_even(source: Source | None, size: int | str | None) -> bool:
    """Whether the map is best spread over an axis: the cells cover all of it, or more, as under 'same' padding.

    By how much one-sided padding shifts them is left aside, and cells that see padding alone are not drawn outside
    (docs/methods.md has what was measured). Of an open size, cell 0 may lie half a cell further in.
    """
    if source is None:
        return True
    if source.is_cut or source.scale <= 0:
        return False
    if isinstance(size, int) and isinstance(source.size, int):
        return source.size * source.scale >= size - source.scale / 8
    return source.offset - (source.scale - 1) / 2 <= source.scale / 2


def _along(source: Source | None, size: int | str | None) -> tuple[float, float]:
    """The pixels from cell to cell, and that of cell 0; a single cell stands for all pixels."""
    if source is None:
        return (float(size), (size - 1) / 2) if isinstance(size, int) else (math.nan, math.nan)
    return source.scale, (source.scale - 1) / 2 if _is_even(source, size) else source.offset
