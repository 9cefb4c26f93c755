"""Operators that only ONNX Runtime knows, or that compute on integers, in standard operators on floats."""

from __future__ import annotations

from ..build.emitter import Emitter
from ..graph.node import replace_input, view
from ..graph.operator_traits import key_of, traits_of
from ..graph.tensors import schema
from ..model.model import Model
from .decompose import DECOMPOSITIONS, decompose


def lower(model: Model) -> None:
    """Puts decompositions in the place of such nodes; quantisers and dequantisers stay.

    The nodes themselves are left, for outputs of the model that are theirs.
    """
    op = Emitter(model, "onnxplain/lowered")
    for source in list(model.graph.nodes):
        key = key_of(source)
        is_standard = schema(source.op, model.opset, source.domain or "") is not None
        if key not in DECOMPOSITIONS or (is_standard and not traits_of(source).quantised):
            continue
        with op.inserting_at(op.nodes.index(source) + 1):
            body = decompose(op, view(source, model.opset))
        if body is None:
            continue
        own = {id(node) for node in body.nodes}
        for old, new in zip(source.outputs, body.outputs, strict=False):
            if new is None:
                continue
            for consumer in [node for node in old.outputs if id(node) not in own]:
                replace_input(consumer, old, new)
