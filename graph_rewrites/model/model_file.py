"""Reading any ONNX file into the one form the rewriter works on, and writing it back without loss.

Reading lifts the weights out, inlines model-local functions, raises old opsets and infers shapes; what remains is small
however large the model is. Writing lays the new nodes onto the protobuf that was read, so that nothing is lost that
onnx-graphsurgeon does not model (metadata, doc strings, quantisation annotations), and weights are copied once.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnx_graphsurgeon as gs
from google.protobuf.message import DecodeError
from onnx import external_data_helper, numpy_helper
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

from ..errors import OnnxplainError
from ..graph.node import captured_tensors, used_tensors
from ..graph.tensors import Tensor
from .canonicalise import normalise
from .subgraph_protos import hoist_initializers, node_proto

# Initializers up to this many bytes stay in the graph: shapes, axes, pads and scalars that rules read as values.
SMALL_TENSOR_BYTES = 1024
# Operators on blocks of 8 or 16 channels, as it suits the CPU that the file was written on.
BLOCKED = "com.microsoft.nchwc"
# A protobuf file cannot exceed 2 GiB; larger models keep their weights in a file beside the model.
MAX_PROTO_BYTES = 2**31 - 2**20

ModelSource = str | os.PathLike[str] | onnx.ModelProto


@dataclass
class Model:
    """A model under rewriting.

    `graph` is what rewrites read and change. `proto` is the model as read, without its weights. `weights` maps the
    names of the lifted initializers to their tensors (`overridable`: those that the file also lists as inputs);
    `folder` is where their external data lies. `sources` are the protobufs of the nodes that were read, by `id`.
    """

    graph: gs.Graph
    proto: onnx.ModelProto
    weights: dict[str, onnx.TensorProto]
    overridable: set[str]
    folder: Path
    name: str
    sources: dict[int, onnx.NodeProto]

    @property
    def inputs(self) -> list[gs.Variable]:
        """The graph inputs that a caller feeds (not the weights)."""
        return [tensor for tensor in self.graph.inputs if tensor.name not in self.weights]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the main graph by its name, those included that nothing but a subgraph reads."""
        captured = {t.name: t for node in self.graph.nodes for t in captured_tensors(node)}
        return {**captured, **self.graph.tensors(), **{tensor.name: tensor for tensor in self.graph.inputs}}

    @property
    def opset(self) -> int:
        """The version of the default operator set."""
        return int(self.graph.opset)


def read(source: ModelSource) -> Model:
    """Reads a model from a path or a `ModelProto` (which is not changed).

    Raises:
        OnnxplainError: not an ONNX file, external data that is missing or outside the model's folder, an opset that
            cannot be raised to 17, or a model that shape inference rejects.
    """
    if isinstance(source, onnx.ModelProto):
        loaded, folder, name = source, Path(), source.graph.name or "model"
    else:
        path = Path(source)
        loaded, folder, name = _load(path), path.parent, str(path)
    if not loaded.graph.node:
        raise OnnxplainError(f"{name}: not an ONNX model, or one without nodes; give a file that an exporter wrote")
    if any(node.domain == BLOCKED for node in loaded.graph.node):
        raise OnnxplainError(
            f"{name}: saved by ONNX Runtime with its layout optimisations, for one kind of CPU alone; save it with "
            "ORT_ENABLE_EXTENDED, or take the original"
        )
    proto, weights, overridable = _lift_weights(loaded, folder, name)
    try:
        proto, declared = normalise(proto)
    except Exception as error:  # onnx raises its own, RuntimeError and protobuf errors alike; all mean the same here
        raise OnnxplainError(
            f"{name}: {_first_line(error)}; check the file with onnx.checker or export again"
        ) from error
    graph = gs.import_onnx(proto)
    for value in proto.graph.output:
        if value.name in declared:
            value.CopyFrom(declared[value.name])
    sources = {id(node): source for node, source in zip(graph.nodes, proto.graph.node, strict=True)}
    return Model(graph, proto, weights, overridable, folder, name, sources)


def load(source: ModelSource) -> onnx.ModelProto:
    """The whole model as it is in its file, weights included.

    Raises:
        OnnxplainError: as `read`.
    """
    if isinstance(source, onnx.ModelProto):
        return source
    path = Path(source)
    loaded = _load(path)
    for tensor in loaded.graph.initializer:
        if external_data_helper.uses_external_data(tensor):
            _check_external(tensor, path.parent, str(path))
            _load_external(tensor, path.parent, str(path))
    return loaded


def write(model: Model) -> onnx.ModelProto:
    """Returns the rewritten model: the protobuf that was read, with the nodes, inputs and outputs of the graph."""
    known = {t.name for t in model.proto.graph.initializer} | {
        s.values.name for s in model.proto.graph.sparse_initializer
    }
    nodes, constants = [], {}
    for node in model.graph.nodes:
        nodes.append(node_proto(node, model.sources.get(id(node))))
        constants.update({t.name: t for t in used_tensors(node) if isinstance(t, gs.Constant) and t.name not in known})

    result = onnx.ModelProto()
    result.CopyFrom(model.proto)
    graph = result.graph
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(OnnxExporter.export_tensor_proto(t) for t in constants.values())
    tensors = model.graph.tensors()
    described = [tensors.get(value.name) for value in graph.value_info if value.type.HasField("tensor_type")]
    del graph.value_info[:]
    graph.value_info.extend(
        OnnxExporter.export_value_info_proto(t, False) for t in described if t is not None and t.dtype
    )
    lifted = set(model.weights) - model.overridable
    declared = {value.name: value for value in (*graph.input, *graph.output)}
    inputs = [value for value in graph.input if value.name not in lifted]
    inputs += [OnnxExporter.export_value_info_proto(t, True) for t in model.inputs if t.name not in declared]
    outputs = [declared.get(t.name) or OnnxExporter.export_value_info_proto(t, True) for t in model.graph.outputs]
    for values, kept in ((graph.input, inputs), (graph.output, outputs)):
        del values[:]
        values.extend(kept)
    for tensor in model.weights.values():
        restored = graph.initializer.add()
        restored.CopyFrom(tensor)
        _load_external(restored, model.folder, model.name)
    return result


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
    return sum(map(_bytes, model.graph.initializer)) > limit or model.ByteSize() > limit


def _bytes(tensor: onnx.TensorProto) -> int:
    itemsize: int = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return itemsize * int(math.prod(tensor.dims))


def _load(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise OnnxplainError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise OnnxplainError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (DecodeError, UnicodeDecodeError, ValueError):
        raise OnnxplainError(f"{path}: not an ONNX file, or a truncated one; export or copy it again") from None


def _lift_weights(
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
            _check_external(tensor, folder, name)
        if _bytes(tensor) <= SMALL_TENSOR_BYTES and not external and tensor.name not in listed:
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


def _check_external(tensor: onnx.TensorProto, folder: Path, name: str) -> None:
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


def _load_external(tensor: onnx.TensorProto, folder: Path, name: str) -> None:
    if not external_data_helper.uses_external_data(tensor):
        return
    try:
        external_data_helper.load_external_data_for_tensor(tensor, str(folder.resolve()))
        numpy_helper.to_array(tensor)  # fails unless the data fits the shape
    except Exception as error:
        raise OnnxplainError(
            f"{name}: the external data of {tensor.name!r} cannot be read ({_first_line(error)})"
        ) from error
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
