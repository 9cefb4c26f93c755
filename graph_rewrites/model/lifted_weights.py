"""Weights lifted out of a model, so that what works on the graph never touches them."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import external_data_helper

from .model_file import byte_size, check_external
from .subgraph_protos import hoist_initializers

# Initializers up to this many bytes stay in the graph: shapes, axes, pads and scalars that rules read as values.
SMALL_TENSOR_BYTES = 1024


def lift_weights(
    loaded: onnx.ModelProto, folder: Path, name: str
) -> tuple[onnx.ModelProto, dict[str, onnx.TensorProto], set[str]]:
    """Splits a model into a small proto, in which weights are inputs of known shape, and the weights themselves.

    Shape inference, the inliner and the version converter then never touch (or serialise) the weights.
    """
    proto, weights = onnx.ModelProto(), {}
    for field, value in loaded.ListFields():
        if field.name != "graph":
            _set_field(proto, field.name, value)
    for field, value in loaded.graph.ListFields():
        if field.name != "initializer":
            _set_field(proto.graph, field.name, value)
    # Before IR version 4 every initializer had to be listed as an input; that did not make it one to be fed.
    listed = {value.name for value in proto.graph.input}
    if loaded.ir_version < 4:
        fed = [v for v in loaded.graph.input if v.name not in {t.name for t in loaded.graph.initializer}]
        del proto.graph.input[:]
        proto.graph.input.extend(fed)
        listed = {value.name for value in fed}
    for tensor in (*loaded.graph.initializer, *hoist_initializers(proto.graph, loaded.graph.initializer)):
        external = external_data_helper.uses_external_data(tensor)
        if external:
            check_external(tensor, folder, name)
        if byte_size(tensor) <= SMALL_TENSOR_BYTES and not external and tensor.name not in listed:
            proto.graph.initializer.add().CopyFrom(tensor)
            continue
        weights[tensor.name] = tensor
        if tensor.name not in listed:
            value = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            proto.graph.input.append(value)
    return proto, weights, listed & set(weights)


def _set_field(message: object, name: str, value: object) -> None:
    target = getattr(message, name)
    if hasattr(target, "MergeFrom"):  # repeated fields and sub-messages
        target.MergeFrom(value)
    else:
        setattr(message, name, value)
