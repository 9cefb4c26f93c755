"""Attention and RotaryEmbedding, as the specification has them from opset 23 on."""

from __future__ import annotations

from functools import reduce

import numpy as np
import onnx

from ....build.emitter import Emitter
from ....graph.node import Node
from ....graph.tensors import Tensor, dtype_of, rank
from ...decompose import decomposition_of
from ...decompositions.attention import join_heads, lowest, positions, scale_of, split_heads
from ...decompositions.rotary import rotate
from ...lib.interpolation import constant
from ...lib.pads import pad


@decomposition_of("Attention")
def attention(op: Emitter, node: Node) -> list[Tensor | None]:
    """y = softmax(softcap(scale q k^T) + mask) v, with zeros in the rows of queries that see no key.

    Written without infinities, which would make the gradients of such rows NaN: a key that is not seen has the lowest
    score, and after the softmax the weight 0.
    """
    query, key, value, mask, past_key, past_value, valid = [*node.inputs, *[None] * 4][:7]
    flat = rank(query) == 3
    if flat:
        query = split_heads(op, query, node.attrs["q_num_heads"])
        key, value = (split_heads(op, tensor, node.attrs["kv_num_heads"]) for tensor in (key, value))
    if past_key is not None:
        key, value = op.Concat(past_key, key, axis=2), op.Concat(past_value, value, axis=2)
    keys, values = (_shared(op, tensor, query) for tensor in (key, value))

    raw = op.MatMul(op.Mul(query, scale_of(op, node, query)), op.Transpose(keys, perm=[0, 1, 3, 2]))
    cap = node.attrs["softcap"]
    capped = op.Mul(op.Tanh(op.Div(raw, cap)), cap) if cap else raw
    added, hidden = _masks(op, node, query, key, mask, past_key, valid)
    scores = capped if added is None else op.Add(capped, added)
    blind = mask is not None or valid is not None or node.attrs.get("left_window_size", -1) >= 0
    weights = _softmax(op, node, scores, hidden, blind)
    y = op.MatMul(weights, values)

    def shown() -> Tensor:
        biased = scores if hidden is None else op.Where(hidden, constant(op, -np.inf, scores), scores)
        return (raw, capped, biased, weights)[node.attrs["qk_matmul_output_mode"]]

    outputs = [join_heads(op, y) if flat else y, key, value]
    return [*outputs, shown()] if len(node.outputs) > 3 else outputs[: len(node.outputs)]


def _shared(op: Emitter, tensor: Tensor, query: Tensor) -> Tensor:
    """Keys or values with as many heads as the queries: each head serves a group of them."""
    heads, own = query.shape[1], tensor.shape[1]
    if heads == own and heads is not None:
        return tensor
    group = op.Div(op.size(query, 1), op.size(tensor, 1))
    repeated = op.Expand(op.Unsqueeze(tensor, [2]), op.join([1, 1], group, [1, 1]))
    return op.Reshape(repeated, op.join(op.size(query, 0), op.size(query, 1), op.sizes(tensor, [2, 3])))


def _softmax(op: Emitter, node: Node, scores: Tensor, hidden: Tensor | None, blind: bool) -> Tensor:
    """The weights of the keys, 0 where they are hidden; some queries may see no key at all if `blind`."""
    if hidden is not None:
        scores = op.Where(hidden, constant(op, lowest(scores), scores), scores)
    precision = node.attrs.get("softmax_precision") or dtype_of(scores)
    weights = op.cast_like(op.Softmax(op.Cast(scores, to=precision), axis=-1), scores)
    return op.Where(hidden, constant(op, 0, weights), weights) if hidden is not None and blind else weights


def _masks(
    op: Emitter,
    node: Node,
    query: Tensor,
    key: Tensor,
    mask: Tensor | None,
    past_key: Tensor | None,
    valid: Tensor | None,
) -> tuple[Tensor | None, Tensor | None]:
    """What is added to the scores, and which keys are hidden from which queries (bool); None for nothing."""
    added, hidden = None, []
    at = positions(op, key)
    if mask is not None:
        added, closed = _given_mask(op, mask, query, key)
        hidden.append(closed)
    offset = op.tensor([0])  # the position of the first query among the keys
    if past_key is not None:
        offset = op.size(past_key, 2)
    elif valid is not None:
        offset = op.Unsqueeze(op.Sub(valid, op.size(query, 2)), [1, 2, 3])
    own = op.Add(op.Unsqueeze(positions(op, query), [1]), offset)
    left, right = (node.attrs.get(f"{side}_window_size", -1) for side in ("left", "right"))
    if node.attrs["is_causal"]:
        hidden.append(op.Greater(at, own))
    if left >= 0:
        hidden.append(op.Less(at, op.Sub(own, [left])))
    if right >= 0:
        hidden.append(op.Greater(at, op.Add(own, [right])))
    if valid is not None:
        hidden.append(op.GreaterOrEqual(at, op.Unsqueeze(valid, [1, 2, 3])))
    return added, reduce(op.Or, hidden) if hidden else None


def _given_mask(op: Emitter, mask: Tensor, query: Tensor, key: Tensor) -> tuple[Tensor | None, Tensor]:
    """As `_masks`, of the mask input; keys past its end are hidden."""
    is_bool = dtype_of(mask) == onnx.TensorProto.BOOL
    values = op.cast_like(mask, query) if is_bool else mask
    outside = constant(op, 0 if is_bool else -np.inf, values)
    if values.shape[-1] is None or values.shape[-1] != key.shape[2]:
        missing = op.Sub(op.size(key, 2), op.size(values, -1))
        values = pad(op, values, op.join([0] * (2 * rank(values) - 1), missing), outside)
    if is_bool:
        return None, op.LessOrEqual(values, 0.0)
    closed = op.Less(op.Mul(values, 0.5), lowest(values))  # -inf, and not the lowest number, which many masks have
    return op.Where(closed, constant(op, 0, values), values), closed


@decomposition_of("RotaryEmbedding")
def rotary_embedding(op: Emitter, node: Node) -> list[Tensor]:
    """Each pair of channels of a head turns by an angle that grows with the token's position.

    J. Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", arXiv:2104.09864 (2021).
    """
    x, cosines, sines, places = [*node.inputs, None][:4]
    flat = rank(x) == 3
    turned = split_heads(op, x, node.attrs["num_heads"]) if flat else x
    if places is not None:
        cosines, sines = (op.Gather(table, places, axis=0) for table in (cosines, sines))
    cosine, sine = (op.Unsqueeze(table, [1]) for table in (cosines, sines))
    width = node.attrs.get("rotary_embedding_dim", 0)
    y = rotate(op, turned, cosine, sine, bool(node.attrs["interleaved"]), width)
    return [op.declare(join_heads(op, y) if flat else y, x)]
