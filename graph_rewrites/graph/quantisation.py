"""Quantised tensors on the way of a gradient.

The integers q of a quantised tensor stand for the reals (q - zero point) * scale. They are differentiated as if they
were reals themselves: the gradient of a quantised tensor is a float32 tensor of its shape. So a quantiser is
differentiated as its unrounded form is (the straight-through estimator: Bengio et al. 2013, arXiv:1308.3432, section
4), and every other operator by its ordinary rule. Forward values are never touched.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_graphsurgeon as gs

from .operator_traits import traits_of
from .tensors import Tensor, dtype_of, is_float


def carries_gradient(node: gs.Node, output: Tensor, reached: Collection[str]) -> bool:
    """Whether a gradient can come back through an output of a node that depends on the tensors `reached`.

    Float tensors carry gradients, and quantised ones: what quantisers make, and what is made of that in the same type.
    """
    if is_float(output):
        return True
    if traits_of(node).quantised:
        return output is node.outputs[0]
    if dtype_of(output) in (onnx.TensorProto.INT64, onnx.TensorProto.BOOL):
        return False  # indices, sizes and masks
    return any(t.name in reached and dtype_of(t) == dtype_of(output) for t in node.inputs)


def quantisation_of(tensor: Tensor) -> tuple[Tensor, Tensor | None] | None:
    """The scale and zero point of a quantised tensor, by the node that made it; None where that does not tell."""
    while tensor.inputs:
        node = tensor.inputs[0]
        traits = traits_of(node)
        if traits.output_scale is not None:
            scale, zero = [*node.inputs[traits.output_scale :], gs.Variable.empty()][:2]
            return (scale, zero if zero.name else None) if scale.name else None
        if not traits.keeps_scale:
            return None
        tensor = node.inputs[0]
    return None


def limits(elem_type: int) -> tuple[float, float]:
    """The least and the greatest value of a type that tensors are quantised to."""
    dtype = onnx.helper.tensor_dtype_to_np_dtype(elem_type)
    if "float" in np.dtype(dtype).name:
        floats: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
        return float(floats.min), float(floats.max)
    integers: Any = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    return integers.min, integers.max
