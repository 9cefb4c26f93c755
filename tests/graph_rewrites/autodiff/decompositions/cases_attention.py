"""Cases for `contrib`: attention in its several forms, and rotary embedding."""

from __future__ import annotations

import numpy as np

from .harness import Array, Case

rng = np.random.default_rng(4)


def array(*shape: int) -> Array:
    return rng.normal(size=shape)


def ints(*values: int) -> Array:
    return np.array(values, np.int32)


MASK = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]], np.int32)
PROJECTION = [array(2, 5, 8), array(8, 24), array(24)]
QKV = [array(2, 5, 8), array(2, 5, 8), array(2, 5, 12)]
ROTARY = [array(2, 5, 16), np.tile(np.arange(5), (2, 1)), array(9, 4), array(9, 4)]

CASES = [
    Case("Attention", PROJECTION, {"num_heads": 2}),
    Case("Attention", PROJECTION, {"num_heads": 2, "unidirectional": 1, "scale": 0.3}),
    Case("Attention", [array(2, 5, 8), array(8, 20), array(20)], {"num_heads": 2, "qkv_hidden_sizes": [8, 8, 4]}),
    Case("Attention", [*PROJECTION, MASK], {"num_heads": 2}, note="mask of keys"),
    Case("Attention", [*PROJECTION, np.tril(np.ones((2, 5, 5), np.int32))], {"num_heads": 4}, note="mask of pairs"),
    Case("Attention", [*PROJECTION, ints(3, 5)], {"num_heads": 2}, note="ends"),
    Case("Attention", [*PROJECTION, ints(5, 4, 2, 0)], {"num_heads": 2}, note="ends and starts"),
    Case("Attention", [*PROJECTION, None, None, array(1, 2, 5, 5)], {"num_heads": 2}, note="bias of scores"),
    *[
        Case("Attention", [*PROJECTION, None, array(2, 2, 2, 3, 4)], {"num_heads": 2}, outputs=2, of=of, note="past")
        for of in (0, 1)
    ],
    Case("MultiHeadAttention", QKV, {"num_heads": 2}),
    Case("MultiHeadAttention", [*QKV, array(28)], {"num_heads": 2, "scale": 0.2}, note="bias"),
    Case("MultiHeadAttention", [*QKV, None, MASK], {"num_heads": 2}, note="mask of keys"),
    Case("MultiHeadAttention", [*QKV, None, None, array(2, 1, 5, 5)], {"num_heads": 2}, note="bias of scores"),
    Case("MultiHeadAttention", QKV, {"num_heads": 2, "unidirectional": 1}),
    Case("MultiHeadAttention", [array(2, 5, 2, 3, 4)], {"num_heads": 2}, note="packed", no_runtime="CUDA only"),
    Case(
        "MultiHeadAttention",
        [array(2, 5, 8), array(2, 6, 2, 2, 4)],
        {"num_heads": 2},
        note="packed keys and values",
        no_runtime="CUDA only",
    ),
    *[
        Case(
            "MultiHeadAttention",
            [array(2, 1, 8), array(2, 1, 8), array(2, 1, 8), None, None, None, array(2, 2, 3, 4), array(2, 2, 3, 4)],
            {"num_heads": 2},
            outputs=3,
            of=of,
            note="past",
        )
        for of in (0, 1, 2)
    ],
    Case("RotaryEmbedding", ROTARY, {"num_heads": 2}, wrt=[0, 2, 3]),
    Case("RotaryEmbedding", ROTARY, {"num_heads": 2, "interleaved": 1}, wrt=[0, 2, 3]),
    Case("RotaryEmbedding", ROTARY, {}, note="heads by size"),
    Case("RotaryEmbedding", [array(2, 5, 24), np.array([2]), *ROTARY[2:]], {"num_heads": 2, "rotary_embedding_dim": 8}),
    Case("RotaryEmbedding", [array(2, 3, 5, 8), *ROTARY[1:]], {}, note="four axes"),
    *[
        Case(
            "GroupQueryAttention",
            [array(2, 5, 64), array(2, 5, 32), array(2, 5, 32), None, None, ints(4, 4), np.array(5, np.int32), *tables],
            {"num_heads": 4, "kv_num_heads": 2} | attributes,
            outputs=3,
            note=note,
        )
        for note, attributes, tables in (
            ("prompt", {}, []),
            ("window", {"local_window_size": 3}, []),
            ("softcap", {"softcap": 2.0, "scale": 0.5}, []),
            ("rotary", {"do_rotary": 1}, [array(9, 8), array(9, 8)]),
            ("interleaved", {"do_rotary": 1, "rotary_interleaved": 1}, [array(9, 8), array(9, 8)]),
        )
    ],
    Case(
        "GroupQueryAttention",
        [array(2, 5, 64), None, None, None, None, ints(4, 4), np.array(5, np.int32)],
        {"num_heads": 4, "kv_num_heads": 2},
        outputs=3,
        note="packed",
    ),
    *[
        Case(
            "GroupQueryAttention",
            [
                array(2, 1, 32),
                array(2, 1, 16),
                array(2, 1, 16),
                array(2, 2, 4, 8),
                array(2, 2, 4, 8),
                ints(4, 4),
                np.array(5, np.int32),
            ],
            {"num_heads": 4, "kv_num_heads": 2},
            outputs=3,
            of=of,
            note="past",
        )
        for of in (0, 1)
    ],
]
