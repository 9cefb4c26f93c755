"""Raising old models to opset 17, where onnx's version converter changes what they compute.

Found with onnx 1.23, by comparison with ONNX Runtime:

    Upsample, Resize    of opset 10 and before place pixels by position / scale; from opset 11 on that must be told
    Hardmax             of opset 12 and before works on the matrix of the axes before and from `axis` on
    Scan                of opset 8 has a batch axis, which is dropped, from the graph's inputs too
"""

from __future__ import annotations

import onnx
from onnx import helper, version_converter


def raise_opset(proto: onnx.ModelProto, opset: int, wanted: int) -> onnx.ModelProto:
    """The model in a later operator set.

    Raises:
        ValueError: the converter would change the model.
    """
    inputs = {value.name: value.type for value in proto.graph.input}
    if opset < 13:
        _coerce_hardmax(proto.graph)
    result = version_converter.convert_version(proto, wanted)
    for value in result.graph.input:
        if len(value.type.tensor_type.shape.dim) != len(inputs[value.name].tensor_type.shape.dim):
            raise ValueError(f"raising opset {opset} to {wanted} would change the shape of input {value.name!r}")
    if opset < 11:
        _place_pixels(result.graph)
    return result


def _coerce_hardmax(graph: onnx.GraphProto) -> None:
    """Writes the coercion to a matrix out, which is the same in every operator set."""
    nodes = []
    for node in graph.node:
        if node.op_type != "Hardmax" or node.domain not in ("", "ai.onnx"):
            nodes.append(node)
            continue
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        (x,), (y,) = node.input, node.output
        names = {part: f"{y}/{part}" for part in ("matrix", "hard", "shape")}
        nodes += [
            helper.make_node("Flatten", [x], [names["matrix"]], axis=axis),
            helper.make_node("Hardmax", [names["matrix"]], [names["hard"]], axis=1, name=node.name),
            helper.make_node("Shape", [x], [names["shape"]]),
            helper.make_node("Reshape", [names["hard"], names["shape"]], [y]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def _place_pixels(graph: onnx.GraphProto) -> None:
    """Tells how resizing places pixels; old models could not, and new ones have another default."""
    told = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    for node in graph.node:
        if node.op_type == "Resize":
            kept = [attribute for attribute in node.attribute if attribute.name not in told]
            del node.attribute[:]
            node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in told.items())])
