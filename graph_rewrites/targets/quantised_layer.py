"""A quantised layer or score as the reals that it stands for."""

from __future__ import annotations

from ..autodiff.decompose import decompose
from ..build.emitter import Emitter
from ..errors import OnnxplainError
from ..graph.node import replace_input, view
from ..graph.operator_traits import traits_of
from ..graph.quantisation import quantisation_of
from ..graph.tensors import Tensor, is_float
from ..model.model import Model


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
    if traits_of(maker).output_scale is None:
        return tensor
    body = decompose(Emitter(model, "onnxplain/score"), view(maker, model.opset))
    quantiser = body.outputs[0].inputs[0] if body is not None and body.outputs[0] is not None else None
    return tensor if quantiser is None else quantiser.inputs[0]
