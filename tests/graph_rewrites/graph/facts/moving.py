"""The fact `values`, computed: where values of the output come from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from onnx import defs

from ..operands import Array, Operator, Probe
from .changes import is_byte, on_reals

KINDS = ("in place", "reshaped", "rearranged", "picked", None)  # each says less than the one before


@cache
def values(operator: Operator) -> str | None:
    """What holds for all operands: for values that all differ, that are all negative, and of which some are alike."""
    tensors = _tensors(operator)
    found = [_kind(probe, tensors) for probe in on_reals(operator) if _filled(probe, tensors)]
    return KINDS[max(map(KINDS.index, found))] if found else None


def _tensors(operator: Operator) -> set[int]:
    """The inputs that are tensors in some probe, not mere bounds; all those of a list."""
    if is_list(operator.key):
        return set(range(9))
    return {i for p in operator.probes for i, x in enumerate(p.inputs) if np.size(x) > 1}


def is_list(key: str) -> bool:
    """Whether the operator takes any number of inputs alike."""
    return defs.has(key) and any(one.option.name == "Variadic" for one in defs.get_schema(key).inputs)


def _filled(probe: Probe, tensors: set[int]) -> list[int]:
    """Which tensors are of the type of the data."""
    return [i for i, x in enumerate(probe.inputs) if i in tensors and x is not None and x.dtype == probe.data.dtype]


def _kind(probe: Probe, tensors: set[int]) -> str | None:
    given = list(_fillings(probe, tensors))
    runs = [(inputs[probe.index], probe.run(inputs)[0]) for inputs in given]
    if all(np.array_equal(x, y) for x, y in runs):
        return "in place"
    if all(np.array_equal(x.ravel(), y.ravel()) for x, y in runs):
        return "reshaped"
    if all(np.array_equal(np.sort(x, axis=None), np.sort(y, axis=None)) for x, y in runs):
        return "rearranged"
    known = [np.concatenate([inputs[i].ravel() for i in _filled(probe, tensors)]) for inputs in given]
    constants, others, _ = (~np.isin(y, taken) for (_, y), taken in zip(runs, known, strict=True))
    # Constants between values lie at the same positions whatever the values are; what is cut off does not.
    if not np.array_equal(constants, others) or (constants.size and constants.all()):
        return None
    # Bytes may be among the given ones by chance; but those that come from there are one more if all are.
    is_chance = is_byte(probe.data) and not np.array_equal(runs[1][1], runs[0][1] + 1)
    return None if is_chance else "picked"


def _fillings(probe: Probe, tensors: set[int]) -> Iterator[list[Array | None]]:
    """The inputs with values that all differ, some below 1/2; negative ones, or bytes one more; some that are alike."""
    sizes = {i: np.size(probe.inputs[i]) for i in _filled(probe, tensors)}
    numbers = np.random.default_rng(1).permutation(sum(sizes.values()))
    step, start = (1, 2) if is_byte(probe.data) else (1 / 8, 1 / 16)  # exact in narrow types, too
    first = numbers * step + start
    for flat in (first, first + 1 if is_byte(probe.data) else -first[::-1], first - numbers % 2 * step):
        inputs = list(probe.inputs)
        for (i, size), end in zip(sizes.items(), np.cumsum(list(sizes.values())), strict=True):
            x = np.asarray(probe.inputs[i])
            inputs[i] = flat[end - size : end].reshape(x.shape).astype(x.dtype)
        yield inputs
