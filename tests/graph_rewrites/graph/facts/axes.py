"""Facts of axes, and those that rest on others, computed."""

from __future__ import annotations

import numpy as np

from ..operands import Array, Operator, Probe
from .changes import changed, is_float, is_separate
from .functions import affine, of_floats
from .layers import convolves, normalises, pools, ranked, resamples, weighted
from .moving import values
from .pointwise import pointwise

WEIGHT = {"QLinearConv": 3, "com.microsoft::QLinearConv": 3}  # else the second input
# They crop feature maps, give them a border, join or turn them: no computation tells that these are worth explaining.
CUTS_AND_JOINS = {"Slice", "Pad", "Concat", "Transpose", "com.microsoft::QLinearConcat"}


def channels(operator: Operator) -> int | None:
    """The axis of a convolution's filters, the one that pools leave alone, or that of a normalisation's parameters."""
    if convolves(operator):
        found_by = _axis_of_filters
    elif pools(operator):
        found_by = _separate_axes
    elif normalises(operator):
        found_by = _normalised_axes
    else:
        return None
    usual = [probe for probe in ranked(operator) if probe.output.ndim > 2 and probe.attrs.get("axis", -1) == -1]
    found = [(axes, probe.output.ndim) for probe in usual if (axes := found_by(probe))]
    return next((axis for axis in (1, -1) if all(axis % rank in axes for axes, rank in found)), None)


def _axis_of_filters(probe: Probe) -> set[int]:
    """Where one weight reaches one index alone."""
    index = WEIGHT.get(probe.key, 1)
    return _confined(changed(probe, index, (0,) * probe.inputs[index].ndim), 1)


def _confined(mask: Array, most: int) -> set[int]:
    """The axes along which only part of the indices change, and no more than some."""
    reached = {axis: mask.any(axis=_others(mask, axis)) for axis in range(1, mask.ndim)}
    return {axis for axis, hit in reached.items() if 0 < hit.sum() <= min(most, hit.size - 1)}


def _others(mask: Array, axis: int) -> tuple[int, ...]:
    return tuple(i for i in range(mask.ndim) if i != axis)


def _separate_axes(probe: Probe) -> set[int]:
    return {axis for axis in range(1, probe.output.ndim) if is_separate(probe, axis)}


def _normalised_axes(probe: Probe) -> set[int]:
    """Along which there is a parameter for each index, or, without parameters, along which values are mixed."""
    vectors = [i for i, x in enumerate(probe.inputs) if is_float(x) and np.ndim(x) == 1 and np.size(x) > 1]
    if not vectors:
        return set(range(1, probe.output.ndim)) - _separate_axes(probe)
    return set.union(*(_confined(changed(probe, i, (0,)), probe.output.size) for i in vectors))


def keeps_axes(operator: Operator) -> bool:
    """Mostly, each slice of the data along an axis changes slices of the output along the same axis.

    If each changes all of them, the axis is as long as it was: a reduction leaves none, nor do filters.
    """
    found = ranked(operator)
    return pointwise(operator) or sum(map(_keeps_axes, found)) > len(found) / 2


def _keeps_axes(probe: Probe) -> bool:
    return probe.output.size > 0 and all(_keeps(probe, axis) for axis in range(probe.output.ndim))


def _keeps(probe: Probe, axis: int) -> bool:
    size = probe.data.shape[axis]
    masks = np.stack([changed(probe, probe.index, (slice(None),) * axis + (k,)) for k in range(size)])
    others = tuple(i + 1 for i in _others(masks[0], axis))
    hit = masks.any(axis=others, keepdims=True)
    beside = masks.any(axis=(0, axis + 1), keepdims=True)  # all but borders, and what comes from other inputs
    shrinks = size > 1 and hit.all() and masks.shape[axis + 1] != size
    return bool(masks.any() and (masks == (hit & beside)).all() and not shrinks)


def makes_maps(operator: Operator) -> bool:
    """It maps each position, has windows, makes maps smoother or larger, or crops, borders, joins or turns them."""
    is_norm = normalises(operator) and channels(operator) == 1
    has_windows = convolves(operator) or pools(operator) or resamples(operator)
    return pointwise(operator) or has_windows or is_norm or operator.key in CUTS_AND_JOINS


def finite(operator: Operator) -> str | None:
    """With weights, or normalised, -inf is no mask any more; straight lines and moves keep finite what is finite."""
    if not of_floats(operator):
        return None
    if (weighted(operator) or normalises(operator)) and any(map(_spoils_masks, operator.probes)):
        return "always"
    moves = values(operator) in ("in place", "reshaped", "rearranged")
    return "if its inputs are" if (moves or affine(operator)) and all(map(_keeps_finite, operator.probes)) else None


def _spoils_masks(probe: Probe) -> bool:
    y = probe.of(np.full(np.shape(probe.data), -np.inf))
    return bool((np.isnan(y) | (y == np.inf)).any())


def _keeps_finite(probe: Probe) -> bool:
    return bool(np.isfinite(probe.of(np.where(np.asarray(probe.data) > 0, 1e9, -1e9))).all())
