"""Facts of operators on quantised tensors, computed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from onnx import defs

from ..operands import Array, Operator, Probe
from .changes import changed, is_byte, is_float, on_reals
from .moving import is_list

SHIFT = 10  # of a zero point


def quantised(operator: Operator) -> bool:
    """It makes integers: of floats, of integers that have a zero point, or with a scale."""
    found = [probe for probe in on_reals(operator) if probe.output.dtype.kind in "iu"]
    tells = _has_zero_point(operator) or output_scale(operator) is not None
    return bool(found) and (tells or all(is_float(probe.data) for probe in found))


def reads_quantised(operator: Operator) -> bool:
    """It makes integers that stand for reals, or takes some with their zero point."""
    return quantised(operator) or _has_zero_point(operator)


@cache
def _has_zero_point(operator: Operator) -> bool:
    """Whether integers count by their distance to another input: one more for both changes nothing."""
    return any(map(_counts_from_another, on_reals(operator)))


def _counts_from_another(probe: Probe) -> bool:
    # Far from their limits, so that there is one more of each.
    bytes_ = {i: np.clip(x, -100, 200).astype(x.dtype) for i, x in enumerate(probe.inputs) if is_byte(x)}
    pairs = [(i, j) for i in bytes_ for j in bytes_ if bytes_[i].size > bytes_[j].size]
    before = probe.at(*bytes_.items())
    for i, j in pairs:
        one, both = ({k: bytes_[k] + 1 for k in moved} for moved in ([i], [i, j]))
        after = [probe.at(*(bytes_ | moved).items()) for moved in (one, both)]
        if not np.array_equal(before, after[0]) and np.array_equal(before, after[1]):
            return True
    return False


@cache
def output_scale(operator: Operator) -> int | None:
    """The index of the input of which twice as much halves the output's distance to the next input, its zero point."""
    found = {index for probe in on_reals(operator) for index in _output_scales(probe)}
    return found.pop() if len(found) == 1 else None


def _output_scales(probe: Probe) -> Iterator[int]:
    q = probe.output
    for index, (scale, zero) in enumerate(zip(probe.inputs, probe.inputs[1:], strict=False)):
        if not is_byte(q) or not is_float(scale) or np.size(scale) > 1 or np.asarray(zero).dtype != q.dtype:
            continue
        distance = q.astype(int) - int(zero)
        half = probe.at((index, 2 * scale)).astype(int) - int(zero)
        moved = probe.at((index + 1, zero + SHIFT)).astype(int) - int(zero)
        limits = np.iinfo(q.dtype)
        inside = (q > limits.min) & (q < limits.max - SHIFT) & (np.abs(distance) > 4)
        halves = np.abs(2 * half - distance)[inside] <= 2
        follows = np.abs(moved - distance - SHIFT)[inside] <= 1  # half steps are rounded to even numbers
        if inside.any() and halves.all() and follows.all():
            yield index


def keeps_scale(operator: Operator) -> bool:
    """It takes bytes, and where values of its data are stretched and shifted, those that it puts out are, too.

    Or they stay as they are, as bounds and borders do. No other tensor that values might come from counts.
    """
    found = [probe for probe in on_reals(operator) if np.size(probe.data) > 1 and _keeps_type(probe)]
    if not found or not _takes_bytes(operator):
        return False
    return all(_follows(probe, _sources(operator)) for probe in found) and any(map(_moves, found))


def _keeps_type(probe: Probe) -> bool:
    exact = is_byte(probe.data) or probe.by == "numpy"
    return bool(probe.output.dtype == (probe.data.dtype if exact else np.float32))


def _takes_bytes(operator: Operator) -> bool:
    if not defs.has(operator.key):
        return any(is_byte(probe.data) for probe in operator.probes)
    return bool({"tensor(int8)", "tensor(uint8)"} & defs.get_schema(operator.key).inputs[0].types)


def _sources(operator: Operator) -> set[int]:
    """The inputs that values may come from: all of a list, and those that are always of one type with the data."""
    if is_list(operator.key):
        return set(range(9))
    formal = defs.get_schema(operator.key).inputs if defs.has(operator.key) else []
    data = [probe.index for probe in operator.probes][:1]
    return {i for i, one in enumerate(formal) if any(one.type_str == formal[own].type_str for own in data)}


def _follows(probe: Probe, sources: set[int]) -> bool:
    others = [i for i, x in enumerate(probe.inputs) if i in sources - {probe.index} and np.size(x) > 1]
    if any(changed(probe, i, ...).any() for i in others):
        return False
    runs = _stretched(probe)
    return all(
        (np.isclose(after, wanted, rtol=1e-5, atol=1e-5) | (before == after)).all() for before, after, wanted in runs
    )


def _moves(probe: Probe) -> bool:
    return any((before != after).any() for before, after, _ in _stretched(probe))


def _stretched(probe: Probe) -> Iterator[tuple[Array, Array, Array]]:
    """The output, that of data stretched and shifted, and the output stretched and shifted."""
    x = probe.data // 3 if is_byte(probe.data) else probe.data
    for stretch, shift in ((1, 1), (2, 0)) if is_byte(x) else ((1.001, 0.001),):
        before, after = probe.of(x), probe.of(x * stretch + shift)
        if before.shape == after.shape:
            yield before, after, before * stretch + shift
