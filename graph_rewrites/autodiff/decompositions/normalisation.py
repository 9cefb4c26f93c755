"""Normalisations that ONNX Runtime fuses with what stands before them."""

from __future__ import annotations

from functools import reduce

from ...build.emitter import Emitter
from ...graph.node import Node
from ...graph.tensors import Tensor, dtype_of, rank
from ..decompose import decomposition_of


@decomposition_of("SimplifiedLayerNormalization", "com.microsoft::SimplifiedLayerNormalization")
def simplified_layer_normalization(op: Emitter, node: Node) -> list[Tensor | None]:
    """Y = x / sqrt(mean(x^2) + epsilon) * scale over the axes from `axis` on (Zhang and Sennrich 2019)."""
    x, scale = node.inputs
    axes = list(range(node.attrs.get("axis", -1) % rank(x), rank(x)))
    return [root_mean_square(op, x, scale, axes, node.attrs.get("epsilon", 1e-5)), None][: len(node.outputs)]


@decomposition_of("com.microsoft::SkipLayerNormalization")
def skip_layer_normalization(op: Emitter, node: Node) -> list[Tensor | None]:
    """Y = LayerNormalization(input + skip + bias); the sum is the fourth output."""
    x, skip, gamma, beta, bias = [*node.inputs, None, None][:5]
    total = _sum(op, x, skip, bias)
    y = op.LayerNormalization(total, gamma, beta, axis=-1, epsilon=node.attrs.get("epsilon", 1e-12))
    return [y, None, None, total][: len(node.outputs)]


@decomposition_of("com.microsoft::SkipSimplifiedLayerNormalization")
def skip_simplified_layer_normalization(op: Emitter, node: Node) -> list[Tensor | None]:
    """As SkipLayerNormalization, without mean and shift."""
    x, skip, gamma, bias = [*node.inputs, None][:4]
    total = _sum(op, x, skip, bias)
    y = root_mean_square(op, total, gamma, [rank(x) - 1], node.attrs.get("epsilon", 1e-12))
    return [y, None, None, total][: len(node.outputs)]


@decomposition_of("com.microsoft::EmbedLayerNormalization")
def embed_layer_normalization(op: Emitter, node: Node) -> list[Tensor | None]:
    """Y = LayerNormalization(word + position + segment embeddings); the sum is the third output."""
    words, segments, word_table, position_table, segment_table, gamma, beta, _, positions = [*node.inputs, None, None][
        :9
    ]
    if positions is None:
        embedded = op.Slice(position_table, [0], op.size(words, 1), [0])
    else:
        embedded = op.Gather(position_table, positions, axis=0)
    total = op.Add(op.Gather(word_table, words, axis=0), embedded)
    if segments is not None and segment_table is not None:
        total = op.Add(total, op.Gather(segment_table, segments, axis=0))
    y = op.LayerNormalization(total, gamma, beta, axis=-1, epsilon=node.attrs.get("epsilon", 1e-12))
    return [y, None, total][: len(node.outputs)]


@decomposition_of("com.microsoft::GroupNorm")
def group_norm(op: Emitter, node: Node) -> list[Tensor]:
    """Y = swish(normalise each group of channels * gamma + beta), channels last by default."""
    x, gamma, beta = node.inputs
    last = bool(node.attrs.get("channels_last", 1))
    axes = rank(x)
    first = op.Transpose(x, perm=[0, axes - 1, *range(1, axes - 1)]) if last else x
    groups = op.Reshape(first, [0, node.attrs["groups"], -1])
    ones, zeros = (op.Expand(op.tensor(value, x), [node.attrs["groups"]]) for value in (1.0, 0.0))
    normal = op.InstanceNormalization(groups, ones, zeros, epsilon=node.attrs.get("epsilon", 1e-5))
    weights, shifts = (op.Unsqueeze(op.cast_like(v, x), list(range(1, axes - 1))) for v in (gamma, beta))
    y = op.Add(op.Mul(op.reshape_like(normal, first), weights), shifts)
    y = op.Mul(y, op.Sigmoid(y)) if node.attrs["activation"] else y
    return [op.Transpose(y, perm=[0, *range(2, axes), 1]) if last else y]


def root_mean_square(op: Emitter, x: Tensor, scale: Tensor, axes: list[int], epsilon: float) -> Tensor:
    """x / sqrt(mean(x^2) + epsilon) * scale; in float32 where x is narrower."""
    wide = op.Cast(x, to=1) if dtype_of(x) in (10, 16) else x
    mean = op.reduce("ReduceMean", op.Mul(wide, wide), axes)
    normal = op.Mul(wide, op.Reciprocal(op.Sqrt(op.Add(mean, epsilon))))
    return op.Mul(op.cast_like(normal, x), op.cast_like(scale, x))


def _sum(op: Emitter, *terms: Tensor | None) -> Tensor:
    return reduce(op.Add, [term for term in terms if term is not None])
