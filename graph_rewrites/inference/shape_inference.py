"""onnx's shape inference, where it is incomplete or differs from the operators' specification."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx
from onnx import shape_inference

from .ceil_pools import is_ceil_pool, overcounted_pools
from .constant_folding import fold_integers, settle
from .contrib_shapes import STANDARD, surrogates
from .loop_shapes import carry_shapes

# Multiples of it stand for open sizes, of which networks take halves and halves of those.
OPEN_SIZE = 64


def infer_shapes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with types and shapes inferred; nodes stay as they are.

    Inference runs on a surrogate in which some nodes are replaced: those for which onnx has no rule, by `surrogates`;
    arithmetic on constant integers, by its results, and where ranks depend on them, known sizes and conditions too
    (`settle`); pooling in ceil mode whose last window would start past the input, by one with larger windows (see
    `ceil_pools`).
    """
    surrogate = onnx.ModelProto()
    surrogate.CopyFrom(proto)
    opset = max((o.version for o in proto.opset_import if o.domain in STANDARD), default=1)
    replaced = [inner for node in proto.graph.node for inner in surrogates(node, opset)]
    del surrogate.graph.node[:]
    surrogate.graph.node.extend(replaced)
    # Right sizes in the file, which onnx does not infer, would keep it from telling anything of the node.
    _forget_shapes(
        surrogate.graph, [name for node in surrogate.graph.node if is_ceil_pool(node) for name in node.output]
    )
    fold_integers(surrogate)
    _drop_contradicted(surrogate)
    inferred = shape_inference.infer_shapes(surrogate, data_prop=True)
    while settle(surrogate, inferred.graph) or carry_shapes(surrogate, inferred.graph):
        inferred = shape_inference.infer_shapes(surrogate, data_prop=True)
    corrected: set[int] = set()
    while wrong := {i: kernel for i, kernel in overcounted_pools(inferred.graph).items() if i not in corrected}:
        for i, kernel in wrong.items():
            node = surrogate.graph.node[i]
            kept = [attribute for attribute in node.attribute if attribute.name not in ("kernel_shape", "dilations")]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("kernel_shape", kernel)])
            _forget_shapes(surrogate.graph, node.output)
        corrected |= set(wrong)
        inferred = shape_inference.infer_shapes(surrogate, data_prop=True)
    bodies = {name: node for node in inferred.graph.node for name in node.output[:1]}
    nodes = [_with_inner_shapes(node, bodies) for node in proto.graph.node]
    del inferred.graph.node[:]
    inferred.graph.node.extend(nodes)
    own = {name for node in proto.graph.node for name in node.output}
    known = [value for value in inferred.graph.value_info if value.name in own]
    del inferred.graph.value_info[:]
    inferred.graph.value_info.extend(known)
    return inferred


def _with_inner_shapes(node: onnx.NodeProto, inferred: Mapping[str, onnx.NodeProto]) -> onnx.NodeProto:
    """The node, with what was inferred of the tensors in its bodies; as it is where it has none.

    `inferred` has the nodes by their first outputs.
    """
    found = inferred.get(node.output[0]) if node.output else None
    bodies = {attribute.name: attribute.g for attribute in found.attribute if attribute.HasField("g")} if found else {}
    if not bodies:
        return node
    result = onnx.NodeProto()
    result.CopyFrom(node)
    for attribute in result.attribute:
        if attribute.name not in bodies:
            continue
        body, other = attribute.g, bodies[attribute.name]
        own = {name for inner in body.node for name in inner.output} - {value.name for value in body.output}
        inner = [value for value in other.value_info if value.name in own]
        for values, known in ((body.value_info, inner), (body.input, other.input), (body.output, other.output)):
            kept = list(known)
            del values[:]
            values.extend(kept)
        by_output = {name: inner for inner in other.node for name in inner.output[:1]}
        nodes = [_with_inner_shapes(inner, by_output) for inner in body.node]
        del body.node[:]
        body.node.extend(nodes)
    return result


def _drop_contradicted(model: onnx.ModelProto) -> None:
    """Drops the sizes that the file tells of tensors where others follow from those of the inputs.

    Some exporters move a Transpose past other nodes and leave these the shapes of before; torch.export's sizes of an
    LSTM's states are those of its example, though the number of steps is open. A contradiction keeps onnx from telling
    anything of the node. So do those of before an input's axes were opened. With a number for each open axis of the
    inputs, one for all of a name, more follows than onnx can say in symbols.
    """
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    numbers: dict[str, int] = {}
    for value in sized.graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value"):
                name = dim.dim_param or f"{value.name}, axis {axis}"
                dim.dim_value = numbers.setdefault(name, OPEN_SIZE * (len(numbers) + 1))
    del sized.graph.value_info[:]
    for value in sized.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    inferred = shape_inference.infer_shapes(sized, data_prop=True).graph
    followed = {value.name: value.type.tensor_type for value in (*inferred.value_info, *inferred.output)}
    for value in (*model.graph.value_info, *model.graph.output):
        told, other = value.type.tensor_type, followed.get(value.name)
        if other is None or not told.HasField("shape") or not other.HasField("shape"):
            continue
        if len(told.shape.dim) != len(other.shape.dim):
            told.ClearField("shape")
            continue
        for dim, known in zip(told.shape.dim, other.shape.dim, strict=True):
            number = numbers.setdefault(dim.dim_param, known.dim_value) if dim.dim_param else dim.dim_value
            if number and known.dim_value and number != known.dim_value:
                dim.Clear()


def _forget_shapes(graph: onnx.GraphProto, names: Iterable[str]) -> None:
    """Drops what the file says of some tensors' sizes."""
    for value in (*graph.value_info, *graph.output):
        if value.name in names:
            for dim in value.type.tensor_type.shape.dim:
                dim.Clear()
