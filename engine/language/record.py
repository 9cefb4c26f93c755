"""What a model says of its words, and of its inputs and outputs."""

from __future__ import annotations

import onnx

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ...graph_rewrites.model.metadata import read_metadata
from ...graph_rewrites.model.model import ModelSource
from .vocabulary import HELP, Vocabulary

INTEGERS = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)


def name_of(source: ModelSource) -> str:
    """How messages call a model."""
    return (source.graph.name or "model") if isinstance(source, onnx.ModelProto) else str(source)


def fed_inputs(proto: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """The inputs that a caller feeds, by name."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    return {value.name: value for value in proto.graph.input if value.name not in weights}


def recorded_vocabulary(name: str, proto: onnx.ModelProto) -> Vocabulary:
    """The vocabulary in a model's record.

    Raises:
        UsageError: there is none, and the model has nothing to do with words.
        OnnxplainError: there is none, or none that is understood.
    """
    record = read_metadata(proto) or {}
    if record.get("text") is not None:
        try:
            return Vocabulary.from_json(record["text"])
        except OnnxplainError as error:
            raise OnnxplainError(f"{name}: {error}") from error
    target = record.get("names", {}).get("target")
    values = [value for value in (*fed_inputs(proto).values(), *proto.graph.output) if value.name != target]
    kinds = [value.type.tensor_type for value in values]
    if not any(kind.elem_type in INTEGERS and rank_of(kind) == 2 for kind in kinds):
        raise UsageError(f"{name}: neither takes nor gives words; use onnxplain explain for models of images alone")
    raise OnnxplainError(f"{name}: records no vocabulary; add `text` to its record, {HELP}")


def rank_of(kind: onnx.TypeProto.Tensor) -> int | None:
    """How many axes there are; None where the model does not say."""
    return len(kind.shape.dim) if kind.HasField("shape") else None
