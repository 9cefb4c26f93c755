"""What is known of a tensor before run time: dtype, shape, values."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import dtype_to_onnx

from ..errors import OnnxplainError

Tensor: TypeAlias = Any  # a gs.Variable or gs.Constant; onnx-graphsurgeon has no type stubs

FLOAT32: Tensor = gs.Variable("float32", np.dtype(np.float32))  # what `cast_like` brings others to
FLOAT_TYPES = frozenset(getattr(onnx.TensorProto, name) for name in ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE"))


def dtype_of(tensor: Tensor) -> int:
    """The tensor's ONNX element type (`onnx.TensorProto.FLOAT`, ...); 0 where it is unknown, and for an optional."""
    return 0 if tensor.dtype is None or isinstance(tensor.dtype, onnx.TypeProto) else _element_type(tensor.dtype)


@cache
def _element_type(dtype: Any) -> int:
    return int(dtype_to_onnx(dtype))


def is_float(tensor: Tensor) -> bool:
    """Whether gradients can flow through the tensor; a tensor of unknown type counts as float."""
    return dtype_of(tensor) in FLOAT_TYPES or dtype_of(tensor) == 0


def rank(tensor: Tensor) -> int:
    """The number of axes.

    Raises:
        OnnxplainError: shape inference could not tell it.
    """
    if tensor.shape is None:
        raise OnnxplainError(
            f"the rank of tensor {tensor.name!r} is unknown; give the model's inputs shapes, or run "
            "onnxruntime.tools.symbolic_shape_infer on it first"
        )
    return len(tensor.shape)


def is_static(tensor: Tensor) -> bool:
    """Whether every size is known before run time."""
    return tensor.shape is not None and all(isinstance(size, int) for size in tensor.shape)


def same_shape(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors surely have equal shapes (equal sizes or equal symbols on every axis)."""
    return a.shape is not None and b.shape is not None and list(a.shape) == list(b.shape) and None not in a.shape


def value_of(tensor: Tensor | None) -> np.ndarray | None:
    """The values of a constant tensor, else None.

    Constant are initializers, Constant nodes, and either behind Identity, Cast, or DequantizeLinear with one scale.
    """
    if tensor is None:
        return None
    if isinstance(tensor, gs.Constant):
        return np.asarray(tensor.values)
    producer = tensor.inputs[0] if len(tensor.inputs) == 1 else None
    if producer is not None and producer.op == "Identity":
        return value_of(producer.inputs[0])
    if producer is not None and producer.op == "Cast":
        held = value_of(producer.inputs[0])
        return None if held is None else held.astype(onnx.helper.tensor_dtype_to_np_dtype(producer.attrs["to"]))
    if producer is not None and producer.op == "DequantizeLinear":
        held, scale, zero = [*map(value_of, producer.inputs), np.zeros((), np.int8)][:3]
        if held is None or scale is None or zero is None or scale.size != 1:
            return None
        return np.asarray((held.astype(scale.dtype) - zero.astype(scale.dtype)) * scale.reshape(()))
    if producer is not None and producer.op == "Constant":
        (key, value), *_ = producer.attrs.items()
        if key == "value":
            return np.asarray(value.values)
        if key in ("value_int", "value_ints"):
            return np.array(value, np.int64)
        if key in ("value_float", "value_floats"):
            return np.array(value, np.float32)
    return None


def type_proto(tensor: Tensor) -> onnx.TypeProto:
    """The tensor's type as protobuf, as far as it is known."""
    shape = None if tensor.shape is None else list(tensor.shape)
    proto = onnx.helper.make_tensor_type_proto(dtype_of(tensor), shape)
    return onnx.helper.make_sequence_type_proto(proto) if is_sequence(tensor) else proto


def kind_of(tensor: Tensor) -> str:
    """The field of ONNX's TypeProto that describes it: "tensor_type", "sequence_type", ..."""
    return str(getattr(tensor, "type", "tensor_type"))


def is_sequence(tensor: Tensor) -> bool:
    """Whether it is a sequence of tensors; `dtype` and `shape` are then those of its elements."""
    return kind_of(tensor) == "sequence_type"


@cache
def schema(op_type: str, opset: int, domain: str = "") -> onnx.defs.OpSchema | None:
    """The operator's specification at an opset, or None where there is none."""
    try:
        return onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None


def gs_dtype(elem_type: int) -> Any:
    """The dtype as onnx-graphsurgeon holds it."""
    return elem_type if elem_type == onnx.TensorProto.BFLOAT16 else onnx.helper.tensor_dtype_to_np_dtype(elem_type)
