"""A model's inputs beside the image, as a user gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from ...graph_rewrites.errors import UsageError
from .runner import Arrays, Runner


def further_inputs(runner: Runner, wanted: Sequence[str], given: Mapping[str, np.ndarray]) -> Arrays:
    """The inputs beside the image, with a batch axis of 1 where they have a row per image, by their actual names.

    Args:
        runner: the model.
        wanted: the actual names of those that must be given.
        given: arrays by name (logical or actual), with or without a batch axis of 1.

    Raises:
        UsageError: an input that is missing, unknown, or of another shape.
    """
    actual = {name: name if name in wanted else runner.names.get(name, name) for name in given}
    feeds = {actual[name]: np.asarray(value) for name, value in given.items()}
    if set(feeds) != set(wanted):
        missing, unknown = sorted(set(wanted) - set(feeds)), sorted(set(feeds) - set(wanted))
        what = f"lacks a value for {missing}" if missing else f"has no input {unknown}"
        raise UsageError(f"the model {what}; its further inputs are {list(wanted)}, given by inputs= (--input)")
    result = {}
    for name, value in feeds.items():
        kind = runner.types[name]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        has_rows = runner.has_rows(name)
        value = value[None] if has_rows and value.ndim == len(kind.shape.dim) - 1 else value
        if value.ndim != len(kind.shape.dim) or (has_rows and len(value) != 1):
            wanted_shape = f"[1, ...] of {len(kind.shape.dim)} axes" if has_rows else f"{len(kind.shape.dim)} axes"
            raise UsageError(f"input {name!r} has shape {list(value.shape)}, not {wanted_shape}")
        result[name] = value.astype(dtype)
    return result
