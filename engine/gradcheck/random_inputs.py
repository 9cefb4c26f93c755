"""Random inputs of a model, of any types and open sizes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from ...graph_rewrites.graph.tensors import FLOAT_TYPES

BATCH, SIDE = 2, 64  # sizes put in for open batch and spatial axes


def random_inputs(
    model: onnx.ModelProto, rng: np.random.Generator, side: int, sizes: Mapping[tuple[str, int], int] | None = None
) -> dict[str, np.ndarray]:
    """Random values for every input: normal floats, bytes, and zeros and ones for other integers.

    An open axis gets the size that `sizes` has for it; else a first axis the size 2, any other the size `side`.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    feeds: dict[str, np.ndarray] = {}
    for value in model.graph.input:
        if value.name in weights:
            continue
        kind = value.type.tensor_type
        known = {axis: size for (name, axis), size in (sizes or {}).items() if name == value.name}
        shape = [d.dim_value or known.get(at, side if at else BATCH) for at, d in enumerate(kind.shape.dim)]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if kind.elem_type in FLOAT_TYPES:
            feeds[value.name] = rng.normal(size=shape).astype(dtype)
        else:
            feeds[value.name] = rng.integers(0, 256 if dtype == np.uint8 else 2, size=shape).astype(dtype)
    return feeds
