"""Attention as ONNX Runtime fuses it: with the input projection, or of several heads side by side."""

from __future__ import annotations

import numpy as np
import onnx

from ...build.emitter import END, Emitter
from ...errors import OnnxplainError
from ...graph.node import Node
from ...graph.tensors import Tensor, dtype_of, rank
from ..decompose import decomposition_of

MASKED = -10000.0  # the default of `mask_filter_value`


@decomposition_of("com.microsoft::Attention")
def attention(op: Emitter, node: Node) -> list[Tensor | None]:
    """Y = attention of the heads of (queries, keys, values) = input @ weights + bias."""
    x, weights, bias, mask, past, added = [*node.inputs, *[None] * 6][:6]
    return _projected(op, node, x, weights, bias, mask, past, added)


@decomposition_of("com.microsoft::QAttention")
def quantised_attention(op: Emitter, node: Node) -> list[Tensor | None]:
    """As Attention, of a dequantised input and dequantised weights."""
    x, weights, bias, x_scale, w_scale, mask, x_zero, w_zero, past = [*node.inputs, *[None] * 4][:9]
    reals = op.DequantizeLinear(x, x_scale, x_zero), op.DequantizeLinear(weights, w_scale, w_zero, axis=1)
    return _projected(op, node, *reals, bias, mask, past, None)


def _projected(
    op: Emitter,
    node: Node,
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    past: Tensor | None,
    added: Tensor | None,
) -> list[Tensor | None]:
    refuse(node, "do_rotary", "past_present_share_buffer")
    heads = node.attrs["num_heads"]
    wide = op.MatMul(x, weights)
    wide = wide if bias is None else op.Add(wide, bias)
    sizes = node.attrs.get("qkv_hidden_sizes")
    parts = op.Split(wide, sizes, outputs=3, axis=-1) if sizes else thirds(op, wide)
    query, key, value = (split_heads(op, part, heads) for part in parts)
    if past is not None:  # [2, batch, heads, past, head size]
        key, value = (
            op.Concat(op.Gather(past, np.array(i), axis=0), new, axis=2) for i, new in enumerate((key, value))
        )
    present = op.Concat(op.Unsqueeze(key, [0]), op.Unsqueeze(value, [0]), axis=0) if len(node.outputs) > 1 else None
    biases = [] if added is None else [added]
    if mask is not None:
        biases.append(mask_bias(op, node, mask, query, key))
    return [join_heads(op, attend(op, node, query, key, value, biases)), present][: len(node.outputs)]


@decomposition_of("com.microsoft::MultiHeadAttention")
def multi_head_attention(op: Emitter, node: Node) -> list[Tensor | None]:
    """Y = attention of heads; keys and values may be packed together or with the queries, or come from a cache."""
    query, key, value, bias, mask, added, past_key, past_value, length, beams = [*node.inputs, *[None] * 9][:10]
    if length is not None or beams is not None:
        raise OnnxplainError(
            f"MultiHeadAttention (node {node.name!r}) shares its cache between past and present, which has no gradient "
            "here; export the model without a cache"
        )
    heads = node.attrs["num_heads"]
    if key is None:  # [batch, sequence, heads, 3, head size]
        query, key, value = (_unpacked(op, query, i) for i in range(3))
    elif value is None:  # [batch, sequence, heads, 2, head size]
        key, value = (_unpacked(op, key, i) for i in range(2))
    tensors = [query, key, value]
    if bias is not None:
        parts = op.Split(bias, op.join(*(_width(op, tensor, heads) for tensor in tensors)), outputs=3, axis=0)
        for part in parts:
            part.shape = part.shape or [None]  # inference does not see sizes that are computed
        tensors = [_plus(op, tensor, part, heads) for tensor, part in zip(tensors, parts, strict=True)]
    query, key, value = (t if rank(t) == 4 else split_heads(op, t, heads) for t in tensors)
    if past_key is not None:
        key, value = op.Concat(past_key, key, axis=2), op.Concat(past_value, value, axis=2)
    biases = [] if added is None else [added]
    if mask is not None:
        biases.append(mask_bias(op, node, mask, query, key))
    y = join_heads(op, attend(op, node, query, key, value, biases))
    return [y, key, value, None][: len(node.outputs)]


def _unpacked(op: Emitter, packed: Tensor, index: int) -> Tensor:
    """[batch, heads, sequence, head size] of [batch, sequence, heads, parts, head size]."""
    return op.Transpose(op.Gather(packed, np.array(index), axis=3), perm=[0, 2, 1, 3])


def _width(op: Emitter, tensor: Tensor, heads: int) -> Tensor:
    return op.size(tensor, 2) if rank(tensor) == 3 else op.Mul(op.size(tensor, 3), heads)


def _plus(op: Emitter, tensor: Tensor, bias: Tensor, heads: int) -> Tensor:
    """The tensor plus its part of the bias; [batch, heads, sequence, head size] takes it head by head."""
    return op.Add(tensor, bias if rank(tensor) == 3 else op.Reshape(bias, [heads, 1, -1]))


def attend(
    op: Emitter,
    node: Node,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    biases: list[Tensor],
) -> Tensor:
    """softmax(scale * query @ key^T + biases) @ value, all [batch, heads, sequence, head size].

    `unidirectional`: a query sees the keys up to its own position; the last query stands at the last key.
    """
    scores = op.MatMul(op.Mul(query, scale_of(op, node, query)), op.Transpose(key, perm=[0, 1, 3, 2]))
    for bias in biases:
        scores = op.Add(scores, op.cast_like(bias, scores))
    if node.attrs.get("unidirectional"):
        late = op.Greater(positions(op, key), query_positions(op, query, key))
        scores = op.Where(late, op.tensor(lowest(scores), scores), scores)
    return op.MatMul(op.Softmax(scores, axis=-1), value)


def scale_of(op: Emitter, node: Node, query: Tensor) -> Tensor:
    """The factor of the scores: an attribute, else 1/sqrt(head size)."""
    if node.attrs.get("scale"):
        return op.tensor(node.attrs["scale"], query)
    if isinstance(query.shape[3], int):
        return op.tensor(query.shape[3] ** -0.5, query)
    return op.Reciprocal(op.Sqrt(op.cast_like(op.size(query, 3), query)))


def positions(op: Emitter, tensor: Tensor) -> Tensor:
    """0, 1, ... along the sequence of [batch, heads, sequence, head size], int64."""
    return op.arange(op.size(tensor, 2))


def query_positions(op: Emitter, query: Tensor, key: Tensor) -> Tensor:
    """The queries' positions among the keys, [sequence, 1]: they are the last ones."""
    before = op.Sub(op.size(key, 2), op.size(query, 2))
    return op.Unsqueeze(op.Add(positions(op, query), before), [1])


def mask_bias(op: Emitter, node: Node, mask: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """`mask_filter_value` where a key is masked, [batch, 1, 1 or queries, keys].

    The mask has 0 at masked keys ([batch, keys], [batch, queries, keys] or, of which the first rows and columns count,
    [batch, 1, longest, longest]), or it tells the end, or the ends and the starts, of the keys that count ([batch],
    [2 * batch]).
    """
    if rank(mask) == 1:
        starts = op.Slice(mask, op.size(key, 0), [END], [0])  # none for [batch]
        ends = op.Slice(mask, [0], op.size(key, 0), [0])
        place = op.Cast(positions(op, key), to=dtype_of(mask))
        masked = op.GreaterOrEqual(place, op.Unsqueeze(ends, [1]))
        if mask.shape[0] != key.shape[0] or mask.shape[0] is None:
            padded = op.Slice(op.Concat(starts, op.Mul(ends, 0), axis=0), [0], op.size(key, 0), [0])
            masked = op.Or(masked, op.Less(place, op.Unsqueeze(padded, [1])))
        masked = op.Unsqueeze(masked, [1, 2])
    else:
        masked = op.LessOrEqual(mask, 0)
        if rank(mask) == 4:
            rows, columns = op.size(query, 2), op.size(key, 2)
            masked = op.Slice(masked, op.join(op.Sub(columns, rows), [0]), op.join(columns, columns), [2, 3])
        else:
            masked = op.Unsqueeze(masked, [1, 2] if rank(mask) == 2 else [1])
    return op.Mul(op.Cast(masked, to=onnx.TensorProto.FLOAT), node.attrs.get("mask_filter_value", MASKED))


def thirds(op: Emitter, tensor: Tensor) -> tuple[Tensor, ...]:
    """Three equal parts along the last axis."""
    parts: tuple[Tensor, ...] = op.split(tensor, 3, -1)
    return parts


def split_heads(op: Emitter, tensor: Tensor, heads: int) -> Tensor:
    """[batch, sequence, heads * head size] as [batch, heads, sequence, head size]."""
    return op.Transpose(op.Reshape(tensor, [0, 0, heads, -1]), perm=[0, 2, 1, 3])


def join_heads(op: Emitter, tensor: Tensor) -> Tensor:
    """[batch, heads, sequence, head size] as [batch, sequence, heads * head size]."""
    return op.Reshape(op.Transpose(tensor, perm=[0, 2, 1, 3]), [0, 0, -1])


def lowest(tensor: Tensor) -> float:
    """A score that softmax makes zero, and that the tensor's type can hold."""
    return -65504.0 if dtype_of(tensor) == onnx.TensorProto.FLOAT16 else -3e38


def refuse(node: Node, *attributes: str) -> None:
    """Refuses attributes that have no decomposition.

    Raises:
        OnnxplainError: one of them is set.
    """
    for name in attributes:
        if node.attrs.get(name):
            raise OnnxplainError(
                f"{node.op_type} (node {node.name!r}) with {name}={node.attrs[name]} has no gradient here; export the "
                "model without it, or choose a layer after it"
            )
