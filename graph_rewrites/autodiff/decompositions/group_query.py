"""Grouped-query attention of language models (Ainslie et al. 2023, arXiv:2305.13245)."""

from __future__ import annotations

import numpy as np

from ...build.emitter import Emitter
from ...errors import OnnxplainError
from ...graph.node import Node
from ...graph.tensors import Tensor
from ..decompose import decomposition_of
from .attention import join_heads, lowest, positions, query_positions, refuse, scale_of, split_heads
from .rotary import rotate

REFUSED = (
    *("smooth_softmax", "sliding_window_cache", "kv_cache_bit_width", "qk_output", "qk_norm_epsilon"),
    *("q_norm_epsilon", "k_norm_epsilon"),
)


@decomposition_of("com.microsoft::GroupQueryAttention")
def group_query_attention(op: Emitter, node: Node) -> list[Tensor | None]:
    """Y = causal attention in which groups of query heads share the keys and values of one head.

    The cache, where there is one, is full: the new keys come right after it. Rows of padding at the end of a prompt
    have no meaning, and no row before them depends on them.
    """
    given = [*node.inputs, *[None] * 17]
    query, key, value, past_key, past_value, _, _, cosines, sines, places, added = given[:11]
    rest = given[11:]
    if any(tensor is not None for tensor in rest):
        raise OnnxplainError(
            f"GroupQueryAttention (node {node.name!r}) has a head sink, a quantised cache or normalised heads, which "
            "have no gradient here; export the model without them"
        )
    refuse(node, *REFUSED)
    heads, shared = node.attrs["num_heads"], node.attrs["kv_num_heads"]
    if key is None:  # queries, keys and values side by side
        packed = split_heads(op, query, heads + 2 * shared)
        query, key, value = op.Split(packed, [heads, shared, shared], outputs=3, axis=1)
    else:
        query, key, value = (split_heads(op, t, n) for t, n in ((query, heads), (key, shared), (value, shared)))
    before = op.size(past_key, 2) if past_key is not None else op.tensor([0])
    if node.attrs.get("do_rotary"):
        place = places if places is not None else op.Unsqueeze(op.Add(positions(op, query), before), [0])
        cosine, sine = (op.Unsqueeze(op.Gather(table, place, axis=0), [1]) for table in (cosines, sines))
        interleaved = bool(node.attrs.get("rotary_interleaved"))
        query, key = (_rotated(op, t, cosine, sine, interleaved, cosines) for t in (query, key))
    if past_key is not None:
        key, value = op.Concat(past_key, key, axis=2), op.Concat(past_value, value, axis=2)
    scores = op.MatMul(
        op.Mul(query, scale_of(op, node, query)), op.Transpose(_repeated(op, key, node), perm=[0, 1, 3, 2])
    )
    if cap := node.attrs.get("softcap", 0.0):
        scores = op.Mul(op.Tanh(op.Div(scores, cap)), cap)
    if added is not None:
        scores = op.Add(scores, added)
    here, there = query_positions(op, query, key), positions(op, key)
    hidden = op.Greater(there, here) if node.attrs.get("causal", 1) else None
    window = node.attrs.get("local_window_size", -1)
    if window > 0:
        old = op.LessOrEqual(there, op.Sub(here, window))
        hidden = old if hidden is None else op.Or(hidden, old)
    if hidden is not None:
        scores = op.Where(hidden, op.tensor(lowest(scores), scores), scores)
    y = op.MatMul(op.Softmax(scores, axis=-1), _repeated(op, value, node))
    return [join_heads(op, y), key, value, None][: len(node.outputs)]


def _rotated(op: Emitter, x: Tensor, cosine: Tensor, sine: Tensor, interleaved: bool, table: Tensor) -> Tensor:
    """Turned in as many channels as the table has angles, times two."""
    half = table.shape[1]
    size = x.shape[3]
    width = 0 if not isinstance(half, int) or size == 2 * half else 2 * half
    return rotate(op, x, cosine, sine, interleaved, width)


def _repeated(op: Emitter, x: Tensor, node: Node) -> Tensor:
    """Each shared head once for every query head of its group."""
    group = node.attrs["num_heads"] // node.attrs["kv_num_heads"]
    if group == 1:
        return x
    return op.Gather(x, np.repeat(np.arange(node.attrs["kv_num_heads"]), group), axis=1)
