"""Where the cells of a layer lie on the input, for layers that see a part of it, mirrored, or turned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..axes.labels import Source, only_source
from ..axes.trace import trace_axes
from ..errors import OnnxplainError
from ..graph.tensors import Tensor
from ..model.model import Model
from .axes import spatial_axes


@dataclass(frozen=True)
class Placement:
    """The place of a map's cells, along each spatial axis of the input in order.

    Attributes:
        axes: which spatial axis of the map (0, 1 ...) runs along the input's.
        scales: pixels from cell to cell; negative where the map is mirrored.
        offsets: the pixel of cell 0.
    """

    axes: tuple[int, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]

    def record(self) -> dict[str, Sequence[float]]:
        """Plain JSON types, for the metadata."""
        return {"axes": self.axes, "scales": self.scales, "offsets": self.offsets}


def placement_of(model: Model, layer: Tensor, image: Tensor) -> Placement | None:
    """Where the layer's cells lie, by strides, crops, pads, flips, transposes and resizes; None where it covers all.

    Windows' own paddings count as if they were split evenly: what they shift by less than a cell is left as it is.

    Raises:
        OnnxplainError: the input is cropped, padded or mirrored before the layer, and it is not known by how much.
    """
    labels = trace_axes(model).of(layer)
    sources = [only_source(labels[axis]) for axis in spatial_axes(layer)]
    wanted = spatial_axes(image)
    if len(sources) != len(wanted) or any(one is None or one.image is None for one in sources):
        return None
    known: dict[int, tuple[int, Source]] = {}
    for index, source in enumerate(sources):
        assert source is not None
        assert source.image is not None
        if source.image[0] == image.name:
            known[source.image[1]] = index, source
    if sorted(known) != wanted:
        return None
    found = [known[axis] for axis in wanted]
    axes = tuple(index for index, _ in found)
    if axes == tuple(sorted(axes)) and not any(source.is_cut for _, source in found):
        return None
    scales, offsets = (tuple(getattr(source, name) for _, source in found) for name in ("scale", "offset"))
    if any(map(math.isnan, (*scales, *offsets))):
        raise OnnxplainError(
            f"{model.name}: what is cut off the input before layer {layer.name!r} depends on its size; export the "
            "model with a fixed input size"
        )
    return Placement(axes, scales, offsets)
