"""A model whose weights are drawn anew, from its last layers on: what explains the model must change with it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from ..errors import OnnxplainError
from ..graph.operator_traits import traits_of
from .model import ModelSource, load

REAL = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16}


def randomised(model: ModelSource, share: float = 1.0, seed: int = 0) -> onnx.ModelProto:
    """The model with the weights of its last layers drawn from a normal distribution of their own mean and deviation.

    Layers are the nodes with weights of two axes or more of type float: convolutions and products of matrices. Biases
    and normalisations stay.

    Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps", section 3.1, the cascading randomisation. They
    draw anew as the network was initialised, which an exported model does not tell.

    Args:
        model: path or `ModelProto` (not changed).
        share: the share of the layers, counted from the last, in (0, 1]; at least one.
        seed: of the draws.

    Raises:
        OnnxplainError: the model has no such layer.
    """
    result = onnx.ModelProto()
    result.CopyFrom(load(model))
    weights = {one.name: one for one in result.graph.initializer if one.data_type in REAL and len(one.dims) > 1}
    used = [
        name
        for node in reversed(result.graph.node)
        if traits_of(node.op_type).weighted
        for name in node.input[1:2] or ()
        if name in weights
    ]
    names = list(dict.fromkeys(used))
    if not names:
        raise OnnxplainError("the model has no layer with weights of type float, so none can be drawn anew")
    draw = np.random.default_rng(seed)
    for name in names[: max(1, round(share * len(names)))]:
        values = numpy_helper.to_array(weights[name])
        anew = draw.normal(values.mean(dtype=np.float64), values.std(dtype=np.float64), values.shape)
        weights[name].CopyFrom(numpy_helper.from_array(anew.astype(values.dtype), name))
    return result
