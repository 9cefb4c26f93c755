"""What of a graph is known before run time: integers, sizes and conditions, for shape inference to see through."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

# What exporters and function bodies compute shapes, axes, pads and conditions with; onnx's propagation of values knows
# only some of it.
ARITHMETIC = {
    *("Add", "Sub", "Mul", "Div", "Mod", "Neg", "Cast", "Concat", "ConstantOfShape", "Gather", "Identity", "Reshape"),
    *("Slice", "Squeeze", "Transpose", "Unsqueeze", "Equal", "Greater", "Less", "Not", "And", "Or", "Where", "Range"),
}
MAX_VALUES = 64
INTEGERS = (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)


def fold_integers(model: onnx.ModelProto) -> bool:
    """Replaces arithmetic on constant integers by Constant nodes; whether there was any."""
    known = {tensor.name for tensor in model.graph.initializer if _is_small(tensor)}
    constants: list[onnx.NodeProto] = []
    arithmetic: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if _is_constant(node):
            constants.append(node)
        elif node.op_type in ARITHMETIC and node.input and all(name in known for name in node.input if name):
            arithmetic.append(node)
        else:
            continue
        known.update(node.output)
    if not arithmetic:
        return False
    outputs = [onnx.ValueInfoProto(name=name) for node in arithmetic for name in node.output]
    seeds = [tensor for tensor in model.graph.initializer if tensor.name in known]
    graph = helper.make_graph([*constants, *arithmetic], "constants", [], outputs, seeds)
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    folded = False
    for node, value in zip(arithmetic, ReferenceEvaluator(part).run(None, {}), strict=True):
        if value.size <= MAX_VALUES:
            node.CopyFrom(helper.make_node("Constant", [], node.output, value=numpy_helper.from_array(value)))
            folded = True
    return folded


def settle(model: onnx.ModelProto, inferred: onnx.GraphProto) -> bool:
    """Puts what is known of sizes into a model in which inference left ranks unknown; whether that may tell more.

    Sizes that were inferred become constants; an If whose condition is constant, the branch that is taken; as a last
    resort a Split into parts of unknown sizes, nodes that keep the rank.
    """
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    shapes = {v.name: v.type.tensor_type.shape.dim for v in values if v.type.tensor_type.HasField("shape")}
    shapes |= {t.name: helper.make_tensor_type_proto(1, t.dims).tensor_type.shape.dim for t in inferred.initializer}
    if all(name in shapes for node in model.graph.node for name in node.output if name):
        return False
    changed = sum(_fold_size(node, shapes.get(node.input[0])) for node in model.graph.node if node.input)
    changed += fold_integers(model)
    for rewritten in (_without_conditions, _without_splits):
        if not changed:
            nodes = list(rewritten(model.graph, set(shapes)))
            changed = len(nodes) != len(model.graph.node)
            del model.graph.node[:]
            model.graph.node.extend(nodes)
    return bool(changed)


def _fold_size(node: onnx.NodeProto, dims: Any) -> bool:
    """Makes a Shape or Size of known sizes a constant."""
    if node.op_type not in ("Shape", "Size") or dims is None:
        return False
    bounds = {attribute.name: attribute.i for attribute in node.attribute}
    taken = dims[bounds.get("start", 0) : bounds.get("end", len(dims))]
    if not all(dim.HasField("dim_value") for dim in taken):
        return False
    sizes = np.array([dim.dim_value for dim in taken], np.int64)
    result = numpy_helper.from_array(sizes if node.op_type == "Shape" else np.asarray(np.prod(sizes), np.int64))
    node.CopyFrom(helper.make_node("Constant", [], node.output, value=result))
    return True


def _without_conditions(graph: onnx.GraphProto, shaped: set[str]) -> Iterator[onnx.NodeProto]:
    """The nodes, with the branch that is taken in the place of an If on a constant."""
    constants = {node.output[0]: node for node in graph.node if _is_constant(node)}
    for node in graph.node:
        if node.op_type != "If" or node.input[0] not in constants:
            yield node
            continue
        holds = numpy_helper.to_array(constants[node.input[0]].attribute[0].t).all()
        branch = next(a.g for a in node.attribute if a.name == ("then_branch" if holds else "else_branch"))
        yield from branch.node
        for inner, outer in zip(branch.output, node.output, strict=True):
            yield helper.make_node("Identity", [inner.name], [outer])


def _without_splits(graph: onnx.GraphProto, shaped: set[str]) -> Iterator[onnx.NodeProto]:
    """The nodes, with a Gather in the place of each part of a Split whose sizes are unknown."""
    for node in graph.node:
        if node.op_type != "Split" or len(node.input) < 2 or shaped.issuperset(node.output):
            yield node
            continue
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        zero, one, most, indices = (f"{node.output[0]}/{name}" for name in ("zero", "one", "most", "indices"))
        yield helper.make_node("Constant", [], [zero], value_int=0)
        yield helper.make_node("Constant", [], [one], value_int=1)
        yield helper.make_node("ReduceMax", [node.input[1]], [most], keepdims=0)
        yield helper.make_node("Range", [zero, most, one], [indices])
        for name in node.output:
            yield helper.make_node("Gather", [node.input[0], indices], [name], axis=axis)


def _is_constant(node: onnx.NodeProto) -> bool:
    """Whether the node is a constant of a few integers."""
    names = ("value_int", "value_ints")
    return node.op_type == "Constant" and any(_is_small(a.t) or a.name in names for a in node.attribute)


def _is_small(tensor: onnx.TensorProto) -> bool:
    """Whether the tensor holds a few integers."""
    return tensor.data_type in INTEGERS and math.prod(tensor.dims) <= MAX_VALUES
