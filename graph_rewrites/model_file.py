"""Reading any ONNX file into the one form the rewriter works on, and writing it back without loss.

Reading lifts the weights out, inlines model-local functions, raises old opsets and infers shapes; what remains is small
however large the model is. Writing lays the new nodes onto the protobuf that was read, so that nothing is lost that
onnx-graphsurgeon does not model (metadata, doc strings, quantisation annotations), and weights are copied once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnx_graphsurgeon as gs
from google.protobuf.message import DecodeError
from onnx import external_data_helper, inliner, numpy_helper, version_converter
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

from .errors import OnnxplainError
from .node import captured_tensors, used_tensors
from .shape_inference import infer_shapes
from .subgraphs import hoist_initializers, node_proto
from .tensors import Tensor

# Every form the rewriter emits is valid from this opset on; older models are raised to it.
MIN_OPSET = 17
# From IR version 4 on initializers need not be graph inputs; opset 17 came with IR version 8.
MIN_IR_VERSION = 8
# Initializers up to this many bytes stay in the graph: shapes, axes, pads and scalars that rules read as values.
SMALL_TENSOR_BYTES = 1024
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
    proto, weights, overridable = _lift_weights(loaded, folder, name)
    try:
        proto = _normalise(proto)
        declared = {value.name: value for value in proto.graph.output if value.type.tensor_type.HasField("shape")}
        proto = infer_shapes(_with_open_outputs(proto))
    except Exception as error:  # onnx raises its own, RuntimeError and protobuf errors alike; all mean the same here
        raise OnnxplainError(
            f"{name}: {_first_line(error)}; check the file with onnx.checker or export again"
        ) from error
    _restore_symbols(proto.graph, declared)
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
            if model.ByteSize() > MAX_PROTO_BYTES:
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
        if tensor.ByteSize() <= SMALL_TENSOR_BYTES and not external and tensor.name not in listed:
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


def _normalise(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Inlines model-local functions, raises the opset to 17 where it is older, and names an open batch axis."""
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
        proto.graph.initializer.extend(hoist_initializers(proto.graph))
    for imported in proto.opset_import:
        if imported.domain == "ai.onnx":  # the default domain's other name
            imported.domain = ""
    if all(imported.domain for imported in proto.opset_import):  # a model of other domains' operators alone
        proto.opset_import.add(version=MIN_OPSET)
    opset = max(imported.version for imported in proto.opset_import if not imported.domain)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    proto.ir_version = max(proto.ir_version, MIN_IR_VERSION)
    if opset < MIN_OPSET:
        inputs = {value.name: value.type for value in proto.graph.input}
        proto = version_converter.convert_version(proto, MIN_OPSET)
        # The converter drops the batch axis of a Scan of opset 8, from the graph's inputs too.
        for value in proto.graph.input:
            if len(value.type.tensor_type.shape.dim) != len(inputs[value.name].tensor_type.shape.dim):
                raise ValueError(f"raising opset {opset} to {MIN_OPSET} would change the shape of input {value.name!r}")
        proto.ir_version = max(proto.ir_version, MIN_IR_VERSION)
        onnx.helper.set_model_props(proto, metadata)
    _name_batch(proto.graph)
    return proto


def _with_open_outputs(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the symbols of its outputs' sizes.

    Exporters often name an output's batch otherwise than the input's; inference tells that they are the same.
    """
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    for value in result.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            dim.ClearField("dim_param")
    return result


def _restore_symbols(graph: onnx.GraphProto, declared: dict[str, onnx.ValueInfoProto]) -> None:
    """Takes the file's symbols for the output sizes that inference could not tell to be an input's."""
    known = {dim.dim_param for value in graph.input for dim in value.type.tensor_type.shape.dim}
    for value in graph.output:
        was = declared[value.name].type.tensor_type.shape.dim if value.name in declared else []
        for dim, before in zip(value.type.tensor_type.shape.dim, was, strict=False):
            if before.dim_param and not dim.HasField("dim_value") and dim.dim_param not in known - {""}:
                dim.dim_param = before.dim_param


def _name_batch(graph: onnx.GraphProto) -> None:
    """Names the batch axis where exactly one input leaves it open without a name, for inference to carry it through.

    Sizes of 0 or -1, which some exporters write for an open one, are made open first.
    """
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value <= 0:
                dim.ClearField("dim_value")
    axes = [(v.name, v.type.tensor_type.shape.dim[0]) for v in graph.input if v.type.tensor_type.shape.dim]
    unnamed = [(name, axis) for name, axis in axes if not axis.WhichOneof("value")]
    if len(unnamed) == 1:
        ((name, axis),) = unnamed
        axis.dim_param = f"{name}_batch"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
