"""Whether a layer's cells, or tokens, stand for the places of the input that they are drawn at."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..runtime.runner import Runner
from .finding import Finding, not_checked

COARSE = 8
PER_AXIS = 4  # cells that are probed along each spatial axis
MOST = 16  # probes
CHANGE = 3.0  # of a block's pixels, in standard deviations of the input
# In blocks. A deep network answers from the cells around a block too, and its paddings shift that by half a cell or so.
# Tokens in another order, a map that is mirrored or turned, a class token on the wrong side are a block off or more.
NEAR, SHIFT, SHARE = 1.5, 0.9, 0.7


@dataclass(frozen=True)
class Cells:
    """Where the cells of a map lie on an input: along each spatial axis of the input, cell 0 and the distance between.

    Attributes:
        axes: the spatial axes of the input.
        order: which spatial axis of the map runs along each.
        first: the position of cell 0, in pixels.
        steps: pixels from cell to cell; negative where the map is mirrored.
        blocks: the sides in pixels of what is changed at a time.
    """

    axes: tuple[int, ...]
    order: tuple[int, ...]
    first: tuple[float, ...]
    steps: tuple[float, ...]
    blocks: tuple[float, ...]


def cells_of(
    record: Mapping[str, Any],
    layer: str,
    axes: Sequence[int],
    image: Sequence[int],
    maps: Sequence[int],
    are_tokens: bool,
) -> Cells:
    """The cells of a layer of a map's sizes on an input [N, ...], as the heatmap is drawn.

    Tokens answer for their own patch. Convolutions see beyond their cell: blocks are an eighth of the input or more.
    """
    sizes = [image[axis] for axis in axes]
    placement = (record.get("placements") or {}).get(layer)
    if placement is not None:
        order, first, steps = (tuple(placement[key]) for key in ("axes", "offsets", "scales"))
    else:
        steps = tuple(size / count for size, count in zip(sizes, maps, strict=True))
        order, first = tuple(range(len(axes))), tuple((step - 1) / 2 for step in steps)
    least = [0 if are_tokens else size / COARSE for size in sizes]
    blocks = tuple(max(abs(step), side) for step, side in zip(steps, least, strict=True))
    return Cells(tuple(axes), order, first, steps, blocks)


def placement(
    runner: Runner,
    feeds: Mapping[str, np.ndarray],
    top: np.ndarray,
    activation: np.ndarray,
    cells: Cells,
    seed: int = 0,
) -> Finding:
    """Changes a block of pixels where a cell is drawn, cell by cell: the layer must change there more than elsewhere.

    Args:
        runner: the explained model, with the output `activation`.
        feeds: its inputs but for the target, of one image.
        top: int64 [1, 1], the class.
        activation: [1, C, *spatial], the layer for these.
        cells: where its cells lie.
        seed: of the changes.
    """
    sizes = [activation.shape[2 + axis] for axis in cells.order]
    if max(sizes) < 3:
        return not_checked("placement", f"the layer has {' x '.join(map(str, sizes))} cells")
    rng = np.random.default_rng(seed)
    image = feeds[runner.image]
    probes = [block for block in _blocks(sizes, image.shape, cells, rng) if block is not None]
    moved = np.concatenate([_changed(image, where, rng) for _, where in probes])
    shared = runner.repeated(dict(feeds), len(probes))
    after = []
    for at in range(0, len(probes), runner.batch):
        part = runner.rows_of({**shared, runner.image: moved}, at, at + runner.batch)
        after.append(runner.run(part, np.repeat(top, len(part[runner.image]), axis=0))["activation"])
    change = np.abs(np.concatenate(after).astype(np.float64) - activation).sum(axis=1)
    change = np.transpose(change, [0, *(1 + axis for axis in cells.order)])
    seen = [(np.array(cell), one) for (cell, _), one in zip(probes, change, strict=True) if one.max(initial=0) > 0]
    if len(seen) <= len(probes) / 2:
        return Finding(
            "placement", False, f"{len(probes) - len(seen)} of {len(probes)} blocks change nothing", len(probes)
        )
    off = np.array([_middle(one) - cell for cell, one in seen]) * cells.steps / cells.blocks
    near = (np.abs(off) <= NEAR).all(axis=1)
    share = float(near.mean())
    shift = float(np.abs(off[near].mean(axis=0)).max()) if near.any() else np.inf
    detail = f"{share:.0%} of the changes lie where they are drawn, {shift:.2f} blocks off"
    return Finding("placement", share >= SHARE and shift <= SHIFT, detail, len(probes))


def _blocks(
    sizes: Sequence[int], image: Sequence[int], cells: Cells, rng: np.random.Generator
) -> list[tuple[tuple[int, ...], tuple[slice, ...]] | None]:
    """Cells, and the pixels of the input that lie nearest to each; None where those are outside of it."""
    chosen = [np.unique(np.linspace(0, size - 1, PER_AXIS).round().astype(int)) for size in sizes]
    every = list(itertools.product(*chosen))
    picked = sorted(rng.permutation(len(every))[:MOST])
    found: list[tuple[tuple[int, ...], tuple[slice, ...]] | None] = []
    for cell in (every[index] for index in picked):
        where = [slice(None)] * len(image)
        for axis, at, first, step, side in zip(cells.axes, cell, cells.first, cells.steps, cells.blocks, strict=True):
            half, middle = side / 2, first + step * float(at)
            low, high = round(middle - half + 0.5), round(middle + half + 0.5)
            where[axis] = slice(max(low, 0), min(max(high, low + 1), image[axis]))
        is_inside = all(where[axis].start < where[axis].stop for axis in cells.axes)
        found.append((tuple(map(int, cell)), tuple(where)) if is_inside else None)
    return found


def _changed(image: np.ndarray, where: tuple[slice, ...], rng: np.random.Generator) -> np.ndarray:
    """A copy of the image [1, ...] with other values in a block."""
    result = image.copy()
    block = result[where]
    if block.dtype.kind == "f":
        result[where] = block + CHANGE * (float(image.std()) or 1.0) * rng.normal(size=block.shape)
    else:
        result[where] = np.iinfo(block.dtype).max - block if block.dtype.itemsize == 1 else 1 - block
    return result


def _middle(change: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The middle of the cells that changed at least half as much as the one that changed most."""
    weights = np.where(change >= change.max() / 2, change, 0)
    grids = np.meshgrid(*map(np.arange, change.shape), indexing="ij")
    return np.array([float((grid * weights).sum() / weights.sum()) for grid in grids])
