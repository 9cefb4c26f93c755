"""Cases for `gradients/attention.py`, and for root mean square normalisation and gates, whose bodies are expanded."""

from typing import Any

import numpy as np

from .harness import Case

rng = np.random.default_rng(11)
INF = np.inf


def attention(
    heads: tuple[int, int] = (2, 2),
    queries: int = 3,
    keys: int = 4,
    mask: np.ndarray | None = None,
    past: int = 0,
    valid: list[int] | None = None,
    flat: bool = False,
    outputs: int = 1,
    of: int = 0,
    opset: int = 24,
    no_runtime: str = "",
    **attrs: Any,
) -> Case:
    """Two samples; heads of 4 channels for queries and keys, of 3 for values."""
    shapes = [(heads[0], queries, 4), (heads[1], keys, 4), (heads[1], keys, 3)]
    inputs: list[Any] = [rng.normal(size=(2, *shape)) for shape in shapes]
    if flat:
        inputs = [np.moveaxis(x, 1, 2).reshape(2, x.shape[2], -1) for x in inputs]
        attrs |= {"q_num_heads": heads[0], "kv_num_heads": heads[1]}
    caches = [rng.normal(size=(2, heads[1], past, size)) if past else None for size in (4, 3)]
    inputs += [mask, *caches, None if valid is None else np.array(valid)]
    while inputs[-1] is None:
        inputs.pop()
    wrt = [i for i, x in enumerate(inputs) if x is not None and x.dtype == np.float64 and np.isfinite(x).all()]
    note = ",".join(
        [
            f"{heads} heads, {past} past, {valid} valid",
            *(["flat"] if flat else []),
            *(f"{k}={v}" for k, v in attrs.items()),
        ]
    )
    return Case(
        "Attention", inputs, attrs, outputs=outputs, of=of, wrt=wrt, opset=opset, note=note, no_runtime=no_runtime
    )


KEEP = np.array([[1, 1, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
RAGGED = np.array([[0, -INF, 0.5, 0], [-INF, -INF, -INF, -INF], [1, 2, -INF, 0]])


def rotary(
    shape: tuple[int, ...], places: bool = True, width: int = 0, wrt: list[int] | None = None, **attrs: Any
) -> Case:
    """Heads of eight channels; positions in any order, one of them twice."""
    tokens = shape[2] if len(shape) == 4 else shape[1]
    angles = (width or 8) // 2
    x = rng.normal(size=shape)
    table = (7, angles) if places else (shape[0], tokens, angles)
    inputs: list[Any] = [x, rng.normal(size=table), rng.normal(size=table)]
    if places:
        inputs.append(rng.integers(0, 7, (shape[0], tokens)))
    attrs |= {"rotary_embedding_dim": width} if width else {}
    attrs |= {"num_heads": shape[2] // 8} if len(shape) == 3 else {}
    return Case("RotaryEmbedding", inputs, attrs, opset=23)


CASES: list[Case] = [
    attention(),
    attention(opset=23),
    attention(flat=True, heads=(4, 2), scale=0.7),
    attention(heads=(4, 1), softcap=0.9),
    attention(mask=rng.normal(size=(3, 4)), is_causal=1),
    attention(mask=rng.normal(size=(2, 1, 3, 4))),
    attention(mask=KEEP),
    attention(mask=RAGGED),
    attention(mask=KEEP, is_causal=1, past=0),
    attention(mask=rng.normal(size=(3, 2)), no_runtime="ONNX Runtime wants masks of full length"),
    attention(past=2, keys=3, outputs=3, is_causal=1),
    attention(past=2, keys=3, outputs=3, of=1),
    attention(past=2, keys=3, outputs=3, of=2),
    attention(valid=[2, 4]),
    attention(valid=[1, 4], is_causal=1),
    attention(softmax_precision=11),
    *(attention(past=1, outputs=4, of=3, qk_matmul_output_mode=mode, softcap=0.8) for mode in range(4)),
    attention(mask=KEEP, past=0, outputs=4, of=3, qk_matmul_output_mode=3, no_runtime="no types of absent states"),
    attention(keys=6, queries=5, opset=25, left_window_size=1, right_window_size=2, no_runtime="no kernel"),
    attention(keys=6, queries=5, opset=25, left_window_size=2, is_causal=1, valid=[6, 5], no_runtime="no kernel"),
    rotary((2, 3, 4, 8)),
    rotary((2, 4, 24)),
    rotary((2, 3, 4, 8), places=False, interleaved=1),
    rotary((2, 3, 4, 8), width=4),
    rotary((2, 3, 4, 8), width=4, interleaved=1),
    Case("RMSNormalization", [rng.normal(size=(2, 3, 4)), rng.normal(size=4)], opset=23),
    Case("RMSNormalization", [rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 4))], {"axis": 1}, opset=23),
]
