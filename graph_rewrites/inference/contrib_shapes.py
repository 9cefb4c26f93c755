"""Standard nodes that have the output types and shapes of operators that onnx infers nothing for.

They are surrogates for those operators during shape inference and compute something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import onnx
from onnx import helper

Attributes: TypeAlias = dict[str, Any]  # a node's attributes, and the version of the default operator set as "opset"
Surrogate: TypeAlias = Callable[[onnx.NodeProto, Attributes], Iterator[onnx.NodeProto]]

MICROSOFT = "com.microsoft"
STANDARD = ("", "ai.onnx")
# Operators whose outputs at some indices have the type and shape of their first input.
LIKE_INPUT = {
    **{(domain, "SimplifiedLayerNormalization"): (0,) for domain in ("", MICROSOFT)},
    **{("", name): (0,) for name in ("GroupNormalization", "MeanVarianceNormalization")},
    **{
        (MICROSOFT, name): (0,)
        for name in (
            *("Gelu", "BiasGelu", "FastGelu", "QuickGelu", "BiasAdd", "BiasSoftmax", "GroupNorm", "RotaryEmbedding"),
            *("QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax"),
        )
    },
    **{(MICROSOFT, name): (0, 3) for name in ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization")},
}
CONVOLUTION = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides", "output_padding", "ceil_mode")
SURROGATES: dict[tuple[str, str], Surrogate] = {}


def surrogates(node: onnx.NodeProto, opset: int) -> list[onnx.NodeProto]:
    """What a node is replaced by: the node itself where onnx infers its outputs."""
    domain = "" if node.domain in STANDARD else node.domain
    key = domain, node.op_type
    if key in LIKE_INPUT:
        outputs = [node.output[i] for i in LIKE_INPUT[key] if i < len(node.output) and node.output[i]]
        return [helper.make_node("Identity", node.input[:1], [name]) for name in outputs]
    if key in SURROGATES:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute} | {"opset": opset}
        return list(SURROGATES[key](node, attributes))
    return [node]


def surrogate_for(*op_types: str) -> Callable[[Surrogate], Surrogate]:
    """Registers the decorated function for operators of the domain com.microsoft."""

    def register(function: Surrogate) -> Surrogate:
        SURROGATES.update({(MICROSOFT, op_type): function for op_type in op_types})
        return function

    return register


def _with(attributes: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name in names}


def _split(source: str, parts: list[str], attributes: Attributes, axis: int = -1) -> onnx.NodeProto:
    """Equal parts along an axis; from opset 18 on their number must be told."""
    count: dict[str, Any] = {"num_outputs": len(parts)} if attributes["opset"] >= 18 else {}
    return helper.make_node("Split", [source], parts, axis=axis, **count)


def _first_to_last(node: onnx.NodeProto, inner: str, inputs: list[str], attributes: dict[str, Any]) -> Iterator[Any]:
    """An operator on images whose channels are last: `inner` between two transpositions."""
    before, after = f"{node.output[0]}/channels_first", f"{node.output[0]}/pooled"
    yield helper.make_node("Transpose", inputs[:1], [before], perm=[0, 3, 1, 2])
    yield helper.make_node(inner, [before, *inputs[1:]], [after], **attributes)
    yield helper.make_node("Transpose", [after], node.output[:1], perm=[0, 2, 3, 1])


@surrogate_for("QuantizeLinear", "DequantizeLinear")
def _quantisation(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    yield helper.make_node(node.op_type, node.input, node.output, **_with(attributes, "axis"))


@surrogate_for("QLinearAdd", "QLinearMul")
def _arithmetic(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    yield helper.make_node("Add", [node.input[0], node.input[3]], node.output)


@surrogate_for("QLinearConcat")
def _concat(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    yield helper.make_node("Concat", node.input[2::3], node.output, axis=attributes["axis"])


@surrogate_for("QLinearWhere")
def _where(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    yield helper.make_node("Where", [node.input[0], node.input[1], node.input[4]], node.output)


@surrogate_for("QLinearReduceMean")
def _reduce_mean(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    axes = f"{node.output[0]}/axes"
    yield helper.make_node("Constant", [], [axes], value_ints=attributes["axes"])
    yield helper.make_node("ReduceSum", [node.input[0], axes], node.output, keepdims=attributes.get("keepdims", 1))


@surrogate_for("QLinearAveragePool", "QLinearGlobalAveragePool", "NhwcMaxPool")
def _pool(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    # MaxPool, unlike AveragePool, takes quantised tensors.
    inner = "GlobalMaxPool" if "Global" in node.op_type else "MaxPool"
    given = _with(attributes, *CONVOLUTION)
    if attributes.get("channels_last") or node.op_type.startswith("Nhwc"):
        yield from _first_to_last(node, inner, list(node.input[:1]), given)
    else:
        yield helper.make_node(inner, node.input[:1], node.output, **given)


@surrogate_for("FusedConv", "NhwcConv", "NhwcFusedConv")
def _convolution(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    given = _with(attributes, *CONVOLUTION)
    if node.op_type.startswith("Nhwc"):
        yield from _first_to_last(node, "Conv", list(node.input[:2]), given)
    else:
        yield helper.make_node("Conv", node.input[:2], node.output, **given)


@surrogate_for("QLinearConv")
def _quantised_convolution(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    given = _with(attributes, *CONVOLUTION)
    if attributes.get("channels_last"):
        yield from _first_to_last(node, "QLinearConv", list(node.input), given)
    else:
        yield helper.make_node("QLinearConv", node.input, node.output, **given)


@surrogate_for("ConvTransposeWithDynamicPads")
def _conv_transpose(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    """Its sizes depend on values; batch, channels and rank do not."""
    full, begin, sizes = (f"{node.output[0]}/{name}" for name in ("full", "begin", "sizes"))
    yield helper.make_node("ConvTranspose", node.input[:2], [full], **_with(attributes, *CONVOLUTION))
    if len(node.input) < 3 or not node.input[2]:
        yield helper.make_node("Identity", [full], node.output)
        return
    axes = len(attributes.get("kernel_shape") or attributes.get("strides") or (1, 1))
    yield _split(node.input[2], [begin, sizes], attributes, axis=0)
    yield helper.make_node("Constant", [], [f"{full}/axes"], value_ints=list(range(2, 2 + axes)))
    yield helper.make_node("Slice", [full, begin, sizes, f"{full}/axes"], node.output)


@surrogate_for("FusedMatMul", "TransposeMatMul", "FusedMatMulActivation")
def _matmul(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    operands = []
    for side, tensor in zip("AB", node.input, strict=True):
        before = "i...j" if attributes.get(f"transBatch{side}") else "...ij"
        after = "...ji" if attributes.get(f"trans{side}") else "...ij"
        operands.append(f"{node.output[0]}/{side}")
        yield helper.make_node("Einsum", [tensor], operands[-1:], equation=f"{before}->{after}")
    yield helper.make_node("MatMul", operands, node.output)


@surrogate_for("FusedGemm")
def _gemm(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    yield helper.make_node("Gemm", node.input, node.output, **_with(attributes, "alpha", "beta", "transA", "transB"))


@surrogate_for("QGemm")
def _quantised_gemm(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    """MatMulInteger gives the shape; the type is that of the output's zero point, or of the scales."""
    flipped, product = [f"{node.output[0]}/{name}" for name in ("a", "b")], f"{node.output[0]}/product"
    for name, tensor, attribute in zip(flipped, (node.input[0], node.input[3]), ("transA", "transB"), strict=True):
        yield helper.make_node("Transpose", [tensor], [name], perm=[1, 0] if attributes.get(attribute) else [0, 1])
    yield helper.make_node("MatMulInteger", flipped, [product])
    is_quantised = len(node.input) > 8 and node.input[8]
    yield helper.make_node("CastLike", [product, node.input[8] if is_quantised else node.input[1]], node.output)


@surrogate_for("MatMulIntegerToFloat")
def _matmul_integer_to_float(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    product = f"{node.output[0]}/product"
    yield helper.make_node("MatMulInteger", node.input[:2], [product])
    yield helper.make_node("CastLike", [product, node.input[2]], node.output)


@surrogate_for("DynamicQuantizeMatMul", "GemmFastGelu")
def _mixed_matmul(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    weight = f"{node.output[0]}/weight"
    yield helper.make_node("CastLike", [node.input[1], node.input[0]], [weight])
    yield helper.make_node("MatMul", [node.input[0], weight], node.output)


@surrogate_for("MatMulNBits")
def _weight_only_matmul(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    zeros = f"{node.output[0]}/weight"
    value = helper.make_tensor("", onnx.TensorProto.FLOAT, [1], [0.0])
    yield helper.make_node("Constant", [], [f"{zeros}/shape"], value_ints=[attributes["K"], attributes["N"]])
    yield helper.make_node("ConstantOfShape", [f"{zeros}/shape"], [f"{zeros}/float"], value=value)
    yield helper.make_node("CastLike", [f"{zeros}/float", node.input[0]], [zeros])
    yield helper.make_node("MatMul", [node.input[0], zeros], node.output)


@surrogate_for("BiasSplitGelu")
def _gated(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    yield _split(node.input[0], [node.output[0], f"{node.output[0]}/gate"], attributes)


@surrogate_for("EmbedLayerNormalization")
def _embedding(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    for index in (0, 2):
        if index < len(node.output) and node.output[index]:
            yield helper.make_node("Gather", [node.input[2], node.input[0]], [node.output[index]], axis=0)


@surrogate_for("Attention", "QAttention")
def _attention(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    """The values' part of the projection: [batch, sequence, values]."""
    name, wide = node.output[0], f"{node.output[0]}/projection"
    source, weight = node.input[:2]
    if node.op_type == "QAttention":
        yield helper.make_node("CastLike", [weight, node.input[3]], [f"{wide}/weight"])
        yield helper.make_node("CastLike", [source, node.input[3]], [f"{wide}/input"])
        source, weight = f"{wide}/input", f"{wide}/weight"
    yield helper.make_node("MatMul", [source, weight], [wide])
    parts = [f"{name}/query", f"{name}/key", name]
    if sizes := attributes.get("qkv_hidden_sizes"):
        yield helper.make_node("Constant", [], [f"{wide}/sizes"], value_ints=sizes)
        yield helper.make_node("Split", [wide, f"{wide}/sizes"], parts, axis=-1)
    else:
        yield _split(wide, parts, attributes)
    if len(node.output) < 2 or not node.output[1]:
        return
    past_at = 4 if node.op_type == "Attention" else 8
    past = node.input[past_at] if len(node.input) > past_at else ""
    yield from _heads(f"{name}/key", attributes["num_heads"])
    yield helper.make_node("Constant", [], [f"{name}/first"], value_ints=[0])
    yield helper.make_node("Unsqueeze", [f"{name}/key/heads", f"{name}/first"], [f"{name}/one"])
    yield helper.make_node("Concat", [f"{name}/one"] * 2, [f"{name}/both" if past else node.output[1]], axis=0)
    if past:
        yield helper.make_node("Concat", [past, f"{name}/both"], node.output[1:2], axis=3)


def _heads(tensor: str, heads: int) -> Iterator[onnx.NodeProto]:
    """[batch, sequence, heads * size] as `<tensor>/heads`, [batch, heads, sequence, size]."""
    yield helper.make_node("Constant", [], [f"{tensor}/sizes"], value_ints=[0, 0, heads, -1])
    yield helper.make_node("Reshape", [tensor, f"{tensor}/sizes"], [f"{tensor}/split"])
    yield helper.make_node("Transpose", [f"{tensor}/split"], [f"{tensor}/heads"], perm=[0, 2, 1, 3])


@surrogate_for("MultiHeadAttention")
def _multi_head_attention(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    """[batch, sequence, values]: the queries' shape where values are packed with them."""
    name, heads = node.output[0], attributes["num_heads"]
    _, key, value, _, _, _, past_key, past_value = [*node.input, *[""] * 8][:8]
    if value:
        # Queries give batch and sequence, values the last axis.
        yield helper.make_node("Einsum", [node.input[0], value], [name], equation="bsq,bkv->bsv")
        yield from _caches(node, (key, value), (past_key, past_value), heads)
    elif key:  # keys and values are packed: [batch, sequence, heads, 2, size]
        yield helper.make_node("Identity", node.input[:1], [name])
    else:  # so are queries with them
        yield helper.make_node("Constant", [], [f"{name}/index"], value_int=0)
        yield helper.make_node("Gather", [node.input[0], f"{name}/index"], [f"{name}/queries"], axis=3)
        yield helper.make_node("Constant", [], [f"{name}/joined"], value_ints=[0, 0, -1])
        yield helper.make_node("Reshape", [f"{name}/queries", f"{name}/joined"], [name])


def _caches(
    node: onnx.NodeProto, tensors: tuple[str, str], pasts: tuple[str, str], heads: int
) -> Iterator[onnx.NodeProto]:
    """The second and the third output: keys and values after those of the past."""
    for tensor, past, present in zip(tensors, pasts, node.output[1:3], strict=False):
        if not present:
            continue
        own = f"{present}/new"
        yield helper.make_node("Identity", [tensor], [own])
        yield from _heads(own, heads)
        if past:
            yield helper.make_node("Concat", [past, f"{own}/heads"], [present], axis=2)
        else:
            yield helper.make_node("Identity", [f"{own}/heads"], [present])


@surrogate_for("GroupQueryAttention")
def _group_query_attention(node: onnx.NodeProto, attributes: Attributes) -> Iterator[onnx.NodeProto]:
    """[batch, sequence, heads * size]: the queries' own part of what is packed."""
    name, heads, shared = node.output[0], attributes["num_heads"], attributes["kv_num_heads"]
    _, key, value, past_key, past_value = [*node.input, *[""] * 5][:5]
    if key:
        yield helper.make_node("Identity", node.input[:1], node.output[:1])
        yield from _caches(node, (key, value), (past_key, past_value), shared)
        return
    shapes = {"heads": [0, 0, heads + 2 * shared, -1], "joined": [0, 0, -1], "start": [0], "end": [heads], "axis": [2]}
    for part, sizes in shapes.items():
        yield helper.make_node("Constant", [], [f"{name}/{part}"], value_ints=sizes)
    yield helper.make_node("Reshape", [node.input[0], f"{name}/heads"], [f"{name}/by_head"])
    slices = [f"{name}/{part}" for part in ("by_head", "start", "end", "axis")]
    yield helper.make_node("Slice", slices, [f"{name}/queries"])
    yield helper.make_node("Reshape", [f"{name}/queries", f"{name}/joined"], [name])
