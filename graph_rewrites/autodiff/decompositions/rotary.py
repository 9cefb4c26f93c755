"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864)."""

from __future__ import annotations

import numpy as np

from ...build.emitter import END, Emitter
from ...graph.node import Node
from ...graph.tensors import Tensor, rank
from ..decompose import decomposition_of
from .attention import join_heads, positions, refuse, split_heads


@decomposition_of("com.microsoft::RotaryEmbedding")
def rotary_embedding(op: Emitter, node: Node) -> list[Tensor]:
    """Each pair of channels of a head turns by an angle that grows with the token's position."""
    x, places, cosines, sines = node.inputs
    refuse(node, "is_packed_batching")
    if node.attrs.get("scale", 1.0) != 1:
        refuse(node, "scale")
    turned, flat = x, rank(x) == 3
    if flat:
        heads = node.attrs.get("num_heads") or None
        turned = split_heads(op, x, heads) if heads else _heads_by_size(op, x, cosines)
    if rank(places) == 1:  # where the first token stands
        places = op.Unsqueeze(op.Add(positions(op, turned), places), [0])
    cosine, sine = (op.Unsqueeze(op.Gather(table, places, axis=0), [1]) for table in (cosines, sines))
    y = rotate(op, turned, cosine, sine, bool(node.attrs.get("interleaved")), node.attrs.get("rotary_embedding_dim", 0))
    return [op.declare(join_heads(op, y) if flat else y, x)]


def _heads_by_size(op: Emitter, x: Tensor, cosines: Tensor) -> Tensor:
    """[batch, heads, sequence, head size], a head being as wide as the table has angles, times two."""
    size = op.Mul(op.size(cosines, 1), 2)
    return op.Transpose(op.Reshape(x, op.join([0, 0, -1], size)), perm=[0, 2, 1, 3])


def rotate(op: Emitter, x: Tensor, cosine: Tensor, sine: Tensor, interleaved: bool, width: int = 0) -> Tensor:
    """(a, b) to (a*cos - b*sin, a*sin + b*cos); the first `width` channels (0: all) turn.

    A pair is a channel of the first half and its fellow of the second, or two neighbours where interleaved. x is
    [batch, heads, sequence, head size], the angles broadcast to half its channels.
    """
    rest = op.Slice(x, [width], [END], [3]) if width else None
    x = op.Slice(x, [0], [width], [3]) if width else x
    if interleaved:
        pairs = op.Reshape(x, [0, 0, 0, -1, 2])
        a, b = (op.Gather(pairs, np.array(i), axis=4) for i in range(2))
    else:
        a, b = op.split(x, 2, 3)
    turned = op.Sub(op.Mul(a, cosine), op.Mul(b, sine)), op.Add(op.Mul(a, sine), op.Mul(b, cosine))
    if interleaved:
        y = op.Reshape(op.Concat(*(op.Unsqueeze(part, [4]) for part in turned), axis=4), [0, 0, 0, -1])
    else:
        y = op.Concat(*turned, axis=3)
    return y if rest is None else op.Concat(y, rest, axis=3)
