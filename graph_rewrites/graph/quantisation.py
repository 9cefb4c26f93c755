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

from ..autodiff.decompose import expand
from ..build.builder import Emitter
from ..errors import OnnxplainError
from ..model.model import Model
from .node import key_of, replace_input, view
from .tensors import Tensor, dtype_of, is_float, rank

# Operators that make a quantised tensor, their first output, of float or of quantised ones.
QUANTISED_OUTPUT = {
    *("QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"),
    *("com.microsoft::QuantizeLinear", "com.microsoft::QLinearAdd", "com.microsoft::QLinearMul"),
    *("com.microsoft::QLinearSigmoid", "com.microsoft::QLinearLeakyRelu", "com.microsoft::QLinearConv"),
    *("com.microsoft::QLinearAveragePool", "com.microsoft::QLinearGlobalAveragePool", "com.microsoft::QLinearConcat"),
    *("com.microsoft::QLinearReduceMean", "com.microsoft::QLinearSoftmax", "com.microsoft::QLinearWhere"),
    *("com.microsoft::QGemm",),
}
# Operators that take quantised tensors for what they are; the others compute on integers as on any numbers.
QUANTISED_INPUT = QUANTISED_OUTPUT | {
    *("DequantizeLinear", "com.microsoft::DequantizeLinear", "com.microsoft::MatMulIntegerToFloat"),
    "com.microsoft::QAttention",
}
# Where in these operators' inputs the scale and the zero point of the output stand.
OUTPUT_QUANTISATION = {
    **{"QuantizeLinear": 1, "QLinearConv": 6, "QLinearMatMul": 6, "com.microsoft::QuantizeLinear": 1},
    **{"com.microsoft::QLinearAdd": 6, "com.microsoft::QLinearMul": 6, "com.microsoft::QLinearSigmoid": 3},
    **{"com.microsoft::QLinearLeakyRelu": 3, "com.microsoft::QLinearAveragePool": 3, "com.microsoft::QLinearConv": 6},
    **{"com.microsoft::QLinearGlobalAveragePool": 3, "com.microsoft::QLinearConcat": 0},
    **{"com.microsoft::QLinearReduceMean": 3, "com.microsoft::QLinearSoftmax": 3, "com.microsoft::QLinearWhere": 7},
    **{"com.microsoft::QGemm": 7},
}
# Operators whose output has the quantisation of their first input.
MOVEMENTS = {
    *("MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather", "Split", "Pad"),
    *("Resize", "Upsample", "Identity", "DepthToSpace", "SpaceToDepth", "Expand", "Tile", "Relu", "Clip"),
    *("com.microsoft::NhwcMaxPool",),
}


def carries_gradient(node: gs.Node, output: Tensor, reached: Collection[str]) -> bool:
    """Whether a gradient can come back through an output of a node that depends on the tensors `reached`.

    Float tensors carry gradients, and quantised ones: what quantisers make, and what is made of that in the same type.
    """
    if is_float(output):
        return True
    if key_of(node) in QUANTISED_OUTPUT:
        return output is node.outputs[0]
    if dtype_of(output) in (onnx.TensorProto.INT64, onnx.TensorProto.BOOL):
        return False  # indices, sizes and masks
    return any(t.name in reached and dtype_of(t) == dtype_of(output) for t in node.inputs)


def quantisation_of(tensor: Tensor) -> tuple[Tensor, Tensor | None] | None:
    """The scale and zero point of a quantised tensor, by the node that made it; None where that does not tell."""
    while tensor.inputs:
        node = tensor.inputs[0]
        key = key_of(node)
        if key in OUTPUT_QUANTISATION:
            scale, zero = [*node.inputs[OUTPUT_QUANTISATION[key] :], gs.Variable.empty()][:2]
            return (scale, zero if zero.name else None) if scale.name else None
        if key not in MOVEMENTS:
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


def along(op: Emitter, vector: Tensor, x: Tensor, axis: int, block: int = 0) -> Tensor:
    """A scale or zero point, shaped to broadcast over x: one for all, one per index of an axis, or one per block."""
    if block:
        positions = op.Range(np.array(0), op.Squeeze(op.size(x, axis), [0]), np.array(1))
        return op.Gather(vector, op.Div(positions, block), axis=axis)
    if rank(vector) != 1 or vector.shape[0] == 1:
        return vector
    trailing = range(1, rank(x) - axis % rank(x))
    return op.Unsqueeze(vector, list(trailing)) if trailing else vector


def real_layer(model: Model, tensor: Tensor) -> Tensor:
    """A layer as a float tensor under its name: of a quantised one, the reals that it stands for.

    They are quantised again for the layer's consumers, which gives the same integers: none is half a step off.

    Raises:
        OnnxplainError: no operator before the layer tells its scale.
    """
    if is_float(tensor):
        return tensor
    quantisation = quantisation_of(tensor)
    if quantisation is None:
        raise OnnxplainError(
            f"{model.name}: layer {tensor.name!r} holds integers whose scale no operator before it tells; choose a "
            "layer of floats"
        )
    op = Emitter(model, "onnxplain/reals")
    consumers = list(tensor.outputs)
    with op.inserting_at(model.graph.nodes.index(tensor.inputs[0]) + 1):
        real = op.DequantizeLinear(tensor, *quantisation)
        again = op.QuantizeLinear(real, *quantisation)
    for node in consumers:
        replace_input(node, tensor, again)
    tensor.name, real.name = real.name, tensor.name
    return real


def before_quantiser(model: Model, tensor: Tensor) -> Tensor:
    """What a dequantised tensor was before it was rounded and saturated; any other tensor is returned as it is.

    The arithmetic of an operator on quantised tensors is appended to the model.
    """
    reader = tensor.inputs[0] if tensor.inputs else None
    if reader is None or reader.op != "DequantizeLinear" or not reader.inputs[0].inputs:
        return tensor
    maker = reader.inputs[0].inputs[0]
    if maker.op == "QuantizeLinear":
        return maker.inputs[0]
    if key_of(maker) not in OUTPUT_QUANTISATION:
        return tensor
    body = expand(Emitter(model, "onnxplain/score"), view(maker, model.opset))
    quantiser = body.outputs[0].inputs[0] if body is not None and body.outputs[0] is not None else None
    return tensor if quantiser is None else quantiser.inputs[0]
