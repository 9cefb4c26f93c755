"""onnx's shape inference, where it is incomplete or differs from the operators' specification."""

from __future__ import annotations

import onnx
from onnx import shape_inference

# Operators whose output has the type and shape of their first input, and that onnx 1.23 infers nothing for.
SHAPED_LIKE_INPUT = frozenset({"GroupNormalization", "MeanVarianceNormalization"})
POOLS = {"MaxPool", "AveragePool", "LpPool"}


def infer_shapes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with types and shapes inferred; nodes stay as they are.

    Inference runs on a stand-in in which some nodes are replaced: normalisations for which onnx has no rule, by an
    Identity; pooling in ceil mode whose last window would lie wholly in the padding at the end, by floor mode. The
    specification drops such a window ("sliding windows that would start in the right padded region are ignored"), and
    so does ONNX Runtime; onnx's inference counts it.
    """
    stand_in = onnx.ModelProto()
    stand_in.CopyFrom(proto)
    for node in stand_in.graph.node:
        if node.op_type in SHAPED_LIKE_INPUT and not node.domain:
            node.CopyFrom(onnx.helper.make_node("Identity", node.input[:1], node.output))
    while True:
        inferred = shape_inference.infer_shapes(stand_in, data_prop=True)
        overcounted = _overcounted_pools(inferred.graph)
        if not overcounted:
            break
        for i in overcounted:
            node = stand_in.graph.node[i]
            kept = [attribute for attribute in node.attribute if attribute.name != "ceil_mode"]
            del node.attribute[:]
            node.attribute.extend(kept)
    del inferred.graph.node[:]
    inferred.graph.node.extend(proto.graph.node)
    return inferred


def _overcounted_pools(graph: onnx.GraphProto) -> list[int]:
    """Indices of the pooling nodes in ceil mode whose inferred size counts a window that starts past the input."""
    values = (*graph.value_info, *graph.input, *graph.output)
    sizes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    found = []
    for i, node in enumerate(graph.node):
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        x, y = sizes.get(node.input[0] if node.input else "", []), sizes.get(node.output[0] if node.output else "", [])
        if node.op_type not in POOLS or not attributes.get("ceil_mode") or len(x) != len(y):
            continue
        spatial = len(x) - 2
        begins = (attributes.get("pads") or [0] * 2 * spatial)[:spatial]
        strides = attributes.get("strides") or [1] * spatial
        if any(
            size and (count - 1) * stride >= size + begin
            for size, count, stride, begin in zip(x[2:], y[2:], strides, begins, strict=True)
        ):
            found.append(i)
    return found
