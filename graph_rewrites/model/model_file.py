"""Model files and their weights: loading, external data, saving whole or not at all."""

from __future__ import annotations

import math
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, numpy_helper

from ..errors import OnnxplainError

# A protobuf file cannot exceed 2 GiB; larger models keep their weights in a file beside the model.
MAX_PROTO_BYTES = 2**31 - 2**20


def load_file(path: Path) -> onnx.ModelProto:
    """The model in a file; external data stays where it is.

    Raises:
        OnnxplainError: there is no such file, it cannot be read, or it is no ONNX file.
    """
    try:
        return onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise OnnxplainError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise OnnxplainError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (DecodeError, UnicodeDecodeError, ValueError):
        raise OnnxplainError(f"{path}: not an ONNX file, or a truncated one; export or copy it again") from None


def save(model: onnx.ModelProto, path: str | os.PathLike[str]) -> None:
    """Writes a model file whole or not at all; weights past protobuf's 2 GiB go to `<path>.data` beside it.

    Raises:
        OnnxplainError: the folder does not exist or cannot be written.
    """
    path = Path(path)
    try:
        with TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            written = Path(folder) / path.name
            if is_large(model, MAX_PROTO_BYTES):
                copy = onnx.ModelProto()
                copy.CopyFrom(model)
                onnx.save(copy, written, save_as_external_data=True, location=f"{path.name}.data")
                written.with_name(f"{path.name}.data").replace(path.with_name(f"{path.name}.data"))
            else:
                onnx.save(model, written)
            written.replace(path)
    except OSError as error:
        raise OnnxplainError(
            f"{path}: cannot be written ({error.strerror or error}); choose a writable folder"
        ) from error


def is_large(model: onnx.ModelProto, limit: int) -> bool:
    """Whether the model takes more bytes than `limit`; past 2 GiB, protobuf itself can no longer tell."""
    return sum(map(byte_size, model.graph.initializer)) > limit or model.ByteSize() > limit


def byte_size(tensor: onnx.TensorProto) -> int:
    """The bytes that the tensor's values take."""
    itemsize: int = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return itemsize * int(math.prod(tensor.dims))


def check_external(tensor: onnx.TensorProto, folder: Path, name: str) -> None:
    """Checks that a tensor's external data lies in the model's folder.

    Raises:
        OnnxplainError: it points elsewhere, or the file is missing.
    """
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    root = folder.resolve()
    data = (root / location).resolve()
    if not location or Path(location).is_absolute() or not data.is_relative_to(root):
        raise OnnxplainError(
            f"{name}: the external data of {tensor.name!r} points outside the model's folder ({location!r}); refused"
        )
    if not data.is_file():
        raise OnnxplainError(
            f"{name}: the external data file {location!r} of {tensor.name!r} is missing; put it beside the model"
        )


def load_external(tensor: onnx.TensorProto, folder: Path, name: str) -> None:
    """Reads a tensor's external data into it, if it has any.

    Raises:
        OnnxplainError: the data cannot be read, or does not fit the tensor's shape.
    """
    if not external_data_helper.uses_external_data(tensor):
        return
    try:
        external_data_helper.load_external_data_for_tensor(tensor, str(folder.resolve()))
        numpy_helper.to_array(tensor)  # fails unless the data fits the shape
    except Exception as error:
        raise OnnxplainError(
            f"{name}: the external data of {tensor.name!r} cannot be read ({first_line(error)})"
        ) from error
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its name."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
