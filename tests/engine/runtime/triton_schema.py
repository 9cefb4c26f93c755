"""Reads `config.pbtxt` with protobuf itself, which refuses what Triton's `model_config.proto` does not know."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

# Names, numbers and types of the fields in question: triton-inference-server/common, protobuf/model_config.proto.
_TYPES = "INVALID BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 FP32 FP64 STRING BF16"
_FIELDS = """
ModelTensorReshape  shape           1  repeated TYPE_INT64
ModelInput          name            1  optional TYPE_STRING
ModelInput          data_type       2  optional DataType
ModelInput          dims            4  repeated TYPE_INT64
ModelInput          reshape         5  optional ModelTensorReshape
ModelOutput         name            1  optional TYPE_STRING
ModelOutput         data_type       2  optional DataType
ModelOutput         dims            3  repeated TYPE_INT64
ModelOutput         label_filename  4  optional TYPE_STRING
ModelOutput         reshape         5  optional ModelTensorReshape
ModelConfig         name            1  optional TYPE_STRING
ModelConfig         max_batch_size  4  optional TYPE_INT32
ModelConfig         input           5  repeated ModelInput
ModelConfig         output          6  repeated ModelOutput
ModelConfig         dynamic_batching 11 optional ModelDynamicBatching
ModelConfig         backend         17 optional TYPE_STRING
"""


def _model_config() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="inference")
    values = file.enum_type.add(name="DataType").value
    for value, name in enumerate(_TYPES.split()):
        values.add(name=f"TYPE_{name}", number=value)
    rows = [line.split() for line in _FIELDS.strip().splitlines()]
    messages = {name: file.message_type.add(name=name) for name in dict.fromkeys(row[0] for row in rows)}
    file.message_type.add(name="ModelDynamicBatching")
    kinds = descriptor_pb2.FieldDescriptorProto
    for message, name, number, label, kind in rows:
        field = messages[message].field.add(name=name, number=int(number))
        field.label = kinds.Label.Value(f"LABEL_{label.upper()}")
        if kind.startswith("TYPE_"):
            field.type = kinds.Type.Value(kind)
        else:
            field.type_name = f".inference.{kind}"  # a message, or the enumeration: the name tells which
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


MODEL_CONFIG = _model_config()


def parse(text: str) -> dict[str, Any]:
    """The fields that a configuration sets, as plain lists and dictionaries; enumerations by name."""
    return _plain(text_format.Parse(text, MODEL_CONFIG()))


def _plain(message: Any) -> dict[str, Any]:
    fields = {}
    for field, value in message.ListFields():
        is_repeated = hasattr(value, "extend")
        values = [_value(field, one) for one in (value if is_repeated else [value])]
        fields[field.name] = values if is_repeated else values[0]
    return fields


def _value(field: Any, value: Any) -> Any:
    if field.message_type:
        return _plain(value)
    return field.enum_type.values_by_number[value].name if field.enum_type else value
