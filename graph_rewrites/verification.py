"""What a certificate needs of a model: which operators are differentiated how, and a float64 form to verify it on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import numpy_helper

from .autodiff.cotangents import zeros_like
from .autodiff.decompose import can_decompose
from .autodiff.lower import lower
from .autodiff.reverse import GRADIENTS, sweep
from .axes.labels import Source
from .axes.tokens import Tokens
from .axes.trace import trace_axes
from .backward_rules.registry import rule_set
from .build.emitter import Emitter
from .build.graph_io import Publisher, prune
from .graph.node import replace_input, used_tensors
from .graph.operator_traits import key_of
from .graph.reachability import tensors_between
from .graph.tensors import Tensor, schema
from .model.model import Model, ModelSource, read
from .model.writing import write
from .targets.axes import spatial_axes
from .targets.grid import holds_tokens, tokens_of
from .targets.quantised_layer import real_layer
from .targets.scores.score import ScoreSource, find_logits

NARROW = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
# Attributes that name an element type: Cast, EyeLike, RandomNormal, Multinomial ...
TYPE_ATTRIBUTES = {"to", "dtype", "stash_type", "output_dtype", "softmax_precision"}


def as_float64(model: onnx.ModelProto, strict: bool = True) -> onnx.ModelProto:
    """A copy of `model` in which every float tensor is float64.

    Operands that the specification holds to float32 (the scales of Resize) are cast back for their node; not so where
    `strict` is false: such a model no longer keeps to the specification's types, but rounds nothing to float32.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
    _convert(result.graph, opset, strict)
    return result


def coverage(model: ModelSource, start: str, end: str, score: ScoreSource | None = None) -> list[tuple[str, int, str]]:
    """The operators between two tensors, of the model or of what `score` appends to it.

    Returns (operator, how many nodes, "rule" | "function body" | "missing").
    """
    work = _with_score(model, score, end)
    path = tensors_between(work.graph.nodes, [start], [end])
    nodes = [
        node
        for node in work.graph.nodes
        if any(t.name in path for t in node.outputs) and any(t.name in path for t in used_tensors(node))
    ]
    counts = Counter(key_of(node) for node in nodes)
    expanded = {key_of(node) for node in nodes if can_decompose(node, work.opset)}
    return [
        (key, count, "rule" if key in GRADIENTS else "function body" if key in expanded else "missing")
        for key, count in counts.most_common()
    ]


def open_sizes(model: ModelSource) -> dict[tuple[str, int], int]:
    """Sizes for open axes of inputs, by input and axis, where they must be those of others that they meet."""
    work = read(model)
    trace = trace_axes(work)
    found = {}
    for tensor in work.inputs:
        for axis, size in enumerate(tensor.shape or ()):
            met = trace.met_by([Source(tensor.name, axis, size, (tensor.name, axis))])
            sizes = {source.size for source in met if isinstance(source.size, int) and source.size > 1}
            if not isinstance(size, int) and len(sizes) == 1:
                found[tensor.name, axis] = sizes.pop()
    return found


def spatial_axes_of(model: ModelSource, image: str, layer: str) -> tuple[list[int], bool]:
    """The spatial axes of an input, in order, and whether a layer holds tokens for them."""
    tensors = read(model).graph.tensors()
    return spatial_axes(tensors[image]), holds_tokens(tensors[layer], tensors[image])


def token_order(model: ModelSource, image: str, layer: str) -> tuple[int, ...] | None:
    """The index of each position's token, row by row; None of other layers, and of the last tokens in that order."""
    work = read(model)
    tensors = work.graph.tensors()
    if not holds_tokens(tensors[layer], tensors[image]):
        return None
    tokens = tokens_of(trace_axes(work), tensors[layer], tensors[image])[1]
    return tokens.order if isinstance(tokens, Tokens) else None


def verification_model(
    model: ModelSource, layer: str, logits: str, image: str | None, score: ScoreSource | None = None
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """The float64 model on which gradients are compared with differences of values.

    It has, besides the model's inputs, the inputs `offset` (added to the layer's feature maps) and `cotangent` (of the
    logits), and, in place of the model's outputs, `value` (the logits), `activation` (the layer's feature maps),
    `layer_gradient` and, for a float `image` input, `input_gradient`. Returns it with the actual names of these, and of
    the tensor `layer` itself.
    `score` is what is explained, where that appends to the model.
    """
    work = _with_score(model, score, logits)
    tensor = real_layer(work, work.graph.tensors()[layer])
    op = Emitter(work)
    publish = Publisher(op)
    tensors = work.graph.tensors()
    scores = tensors[logits]
    offset = publish.input("offset", tensor.dtype, tensor.shape)
    consumers = list(tensor.outputs)
    maker = next(i for i, node in enumerate(work.graph.nodes) if any(t is tensor for t in node.outputs))
    with op.inserting_at(maker + 1):
        shifted = op.declare(op.Add(tensor, offset), tensor)
    for node in consumers:
        replace_input(node, tensor, shifted)
    cotangent = publish.input("cotangent", scores.dtype, scores.shape)
    wanted = [shifted.name, *([image] if image else [])]
    grads = sweep(op, list(work.graph.nodes), {logits: cotangent}, wanted, rule_set("standard"))
    del work.graph.outputs[:]
    publish.output("value", scores, scores.shape)
    publish.output("activation", tensor, tensor.shape)
    publish.output("layer_gradient", _or_zeros(op, grads[shifted.name], tensor), tensor.shape)
    if image:
        publish.output("input_gradient", _or_zeros(op, grads[image], tensors[image]), tensors[image].shape)
    lower(work)
    prune(work, [])
    return as_float64(write(work)), {**publish.names, "layer": tensor.name}


def _with_score(model: ModelSource, score: ScoreSource | None, logits: str) -> Model:
    work = read(model)
    if score is not None or logits not in work.graph.tensors():
        find_logits(work, score)
    return work


def _or_zeros(op: Emitter, grad: Tensor | None, like: Tensor) -> Tensor:
    return zeros_like(op, like) if grad is None else grad


def _convert(graph: onnx.GraphProto, opset: int, strict: bool) -> None:
    for tensor in graph.initializer:
        _widen(tensor)
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        _widen_type(value.type)
    nodes = []
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and not node.attribute:  # float32 by default
            node.attribute.append(onnx.helper.make_attribute("value", numpy_helper.from_array(np.zeros(1))))
        if node.op_type == "SequenceEmpty" and not node.attribute:
            node.attribute.append(onnx.helper.make_attribute("dtype", onnx.TensorProto.DOUBLE))
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _convert(attribute.g, opset, strict)
            elif attribute.HasField("t"):
                _widen(attribute.t)
            elif attribute.HasField("tp"):
                _widen_type(attribute.tp)
            elif attribute.name == "stash_type" and node.op_type == "LayerNormalization":
                continue  # onnx's evaluator computes in the type of the input, and refuses any but float32 here
            elif attribute.name in TYPE_ATTRIBUTES and attribute.i in NARROW:
                attribute.i = onnx.TensorProto.DOUBLE
            elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
                values = numpy_helper.from_array(np.array(onnx.helper.get_attribute_value(attribute), np.float64))
                attribute.CopyFrom(onnx.helper.make_attribute("value", values))
        for index in _float32_operands(node, opset) if strict else ():
            narrow = f"{node.output[0]}/float32/{index}"
            nodes.append(onnx.helper.make_node("Cast", [node.input[index]], [narrow], to=onnx.TensorProto.FLOAT))
            node.input[index] = narrow
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _float32_operands(node: onnx.NodeProto, opset: int) -> list[int]:
    """Indices of the inputs that may be float32 but not float64, unlike the outputs."""
    specification = schema(node.op_type, opset, node.domain)
    if specification is None or "quantizelinear" in node.op_type.lower():  # `Float64Session` takes these in any type
        return []
    results = {formal.type_str for formal in specification.outputs}  # a node of float32 alone computes in float64
    return [
        index
        for index, (name, formal) in enumerate(zip(node.input, specification.inputs, strict=False))
        if name
        and "tensor(float)" in formal.types
        and "tensor(double)" not in formal.types
        and formal.type_str not in results
    ]


def _widen_type(kind: onnx.TypeProto) -> None:
    case = kind.WhichOneof("value")
    if case in ("sequence_type", "optional_type"):
        _widen_type(getattr(kind, case).elem_type)
    elif kind.tensor_type.elem_type in NARROW:
        kind.tensor_type.elem_type = onnx.TensorProto.DOUBLE


def _widen(tensor: onnx.TensorProto) -> None:
    if tensor.data_type in NARROW:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
