"""Reading any ONNX file into the one form the rewriter works on.

Reading lifts the weights out, inlines model-local functions, raises old opsets and infers shapes; what remains is small
however large the model is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import onnx
import onnx_graphsurgeon as gs
from onnx import external_data_helper

from ..errors import OnnxplainError
from ..graph.node import captured_tensors
from ..graph.tensors import Tensor
from .canonicalise import canonicalise
from .lifted_weights import lift_weights
from .model_file import check_external, first_line, load_external, load_file

# Operators on blocks of 8 or 16 channels, as it suits the CPU that the file was written on.
BLOCKED = "com.microsoft.nchwc"


@dataclass
class Model:
    """A model under rewriting.

    `graph` is what rewrites read and change. `proto` is the model as read, without its weights. `weights` maps the
    names of the lifted initializers to their tensors (`overridable`: those that the file also lists as inputs);
    `folder` is where their external data lies. `sources` are the protobufs of the nodes that were read, by `id`;
    `derived` is what `once` keeps.
    """

    graph: gs.Graph
    proto: onnx.ModelProto
    weights: dict[str, onnx.TensorProto]
    overridable: set[str]
    folder: Path
    name: str
    sources: dict[int, onnx.NodeProto]
    derived: dict[str, tuple[tuple[gs.Node, ...], Any]] = field(default_factory=dict)

    def once(self, name: str, derive: Callable[[Model], Any]) -> Any:
        """What follows from the nodes as they are now, derived once until nodes are added, removed or moved."""
        nodes = tuple(self.graph.nodes)
        known, result = self.derived.get(name, ((), None))
        if len(known) != len(nodes) or any(a is not b for a, b in zip(known, nodes, strict=True)):
            result = derive(self)
            self.derived[name] = nodes, result
        return result

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


@dataclass(frozen=True)
class ParsedModel:
    """A model that was read and brought into the one form, to be rewritten any number of times.

    It stands wherever a `ModelSource` does, and spares reading the file and inferring shapes again.

    Attributes:
        name: the file's path, or the graph's name.
        loaded: the model as it is in its file; external data stays there.
        proto: its canonical form, without its weights, see `canonicalise`.
        declared: the outputs whose shapes the file tells, as it tells them.
        bodies: the nodes with bodies as they are written, without inferred shapes, by their first output: samples that
            are repeated have others.
        weights: the initializers that were lifted out, by name.
        overridable: those of them that the file also lists as inputs.
        folder: where external data lies.
    """

    name: str
    loaded: onnx.ModelProto
    proto: onnx.ModelProto
    declared: Mapping[str, onnx.ValueInfoProto]
    bodies: Mapping[str, onnx.NodeProto]
    weights: Mapping[str, onnx.TensorProto]
    overridable: frozenset[str]
    folder: Path

    @cached_property
    def whole(self) -> onnx.ModelProto:
        """The model as it is in its file, weights included."""
        external = [t for t in self.loaded.graph.initializer if external_data_helper.uses_external_data(t)]
        if not external:
            return self.loaded
        result = onnx.ModelProto()
        result.CopyFrom(self.loaded)
        for tensor in result.graph.initializer:
            load_external(tensor, self.folder, self.name)
        return result


ModelSource: TypeAlias = str | os.PathLike[str] | onnx.ModelProto | ParsedModel


def parse(source: ModelSource) -> ParsedModel:
    """Reads a model from a path or a `ModelProto` (which is not changed), once for many rewrites.

    Raises:
        OnnxplainError: not an ONNX file, external data that is missing or outside the model's folder, an opset that
            cannot be raised to 17, or a model that shape inference rejects.
    """
    if isinstance(source, ParsedModel):
        return source
    if isinstance(source, onnx.ModelProto):
        loaded, folder, name = source, Path(), source.graph.name or "model"
    else:
        path = Path(source)
        loaded, folder, name = load_file(path), path.parent, str(path)
    if not loaded.graph.node:
        raise OnnxplainError(f"{name}: not an ONNX model, or one without nodes; give a file that an exporter wrote")
    if any(node.domain == BLOCKED for node in loaded.graph.node):
        raise OnnxplainError(
            f"{name}: saved by ONNX Runtime with its layout optimisations, for one kind of CPU alone; save it with "
            "ORT_ENABLE_EXTENDED, or take the original"
        )
    proto, weights, overridable = lift_weights(loaded, folder, name)
    try:
        proto, declared, bodies = canonicalise(proto)
    except Exception as error:  # onnx raises its own, RuntimeError and protobuf errors alike; all mean the same here
        raise OnnxplainError(
            f"{name}: {first_line(error)}; check the file with onnx.checker or export again"
        ) from error
    return ParsedModel(name, loaded, proto, declared, bodies, weights, frozenset(overridable), folder)


def read(source: ModelSource) -> Model:
    """A model to rewrite, of its own.

    Raises:
        OnnxplainError: as `parse`.
    """
    parsed = parse(source)
    graph = gs.import_onnx(parsed.proto)
    proto = onnx.ModelProto()
    proto.CopyFrom(parsed.proto)
    for value in proto.graph.output:
        if value.name in parsed.declared:
            value.CopyFrom(parsed.declared[value.name])
    written = [parsed.bodies.get(node.output[0], node) if node.output else node for node in proto.graph.node]
    sources = {id(node): source for node, source in zip(graph.nodes, written, strict=True)}
    return Model(graph, proto, dict(parsed.weights), set(parsed.overridable), parsed.folder, parsed.name, sources)


def load(source: ModelSource) -> onnx.ModelProto:
    """The whole model as it is in its file, weights included.

    Raises:
        OnnxplainError: as `read`.
    """
    if isinstance(source, ParsedModel):
        return source.whole
    if isinstance(source, onnx.ModelProto):
        return source
    path = Path(source)
    loaded = load_file(path)
    for tensor in loaded.graph.initializer:
        if external_data_helper.uses_external_data(tensor):
            check_external(tensor, path.parent, str(path))
            load_external(tensor, path.parent, str(path))
    return loaded
