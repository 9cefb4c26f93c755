"""Cases for operators that are differentiated through the function bodies of their specification (`expand.py`)."""

from typing import Any

import numpy as np

from .harness import Case

rng = np.random.default_rng(13)
NO_KERNEL = "ONNX Runtime 1.32 has no kernel"


def linear_attention(rule: str, heads: tuple[int, int] = (4, 2), past: bool = False, of: int = 0, **attrs: Any) -> Case:
    """Two samples, three steps; keys of 4 channels, values of 3."""
    queries, keys = heads
    decays, deltas = "gated" in rule, "delta" in rule
    inputs: list[Any] = [rng.normal(size=(2, 3, width)) for width in (queries * 4, keys * 4, keys * 3)]
    inputs.append(rng.normal(size=(2, keys, 4, 3)) if past else None)
    inputs.append(rng.uniform(-1, 0, (2, 3, keys * 4)) if decays else None)
    inputs.append(rng.uniform(size=(2, 3, keys)) if deltas else None)
    while inputs[-1] is None:
        inputs.pop()
    attrs |= {"q_num_heads": queries, "kv_num_heads": keys, "update_rule": rule}
    # The body computes in float32.
    return Case("LinearAttention", inputs, attrs, outputs=2, of=of, opset=27, tolerance=2e-5, no_runtime=NO_KERNEL)


def crop(shape: tuple[int, ...], to: list[int], constant: tuple[int, ...] = (1,), **attrs: Any) -> Case:
    """Cropped along some axes, padded along others."""
    inputs = [rng.normal(size=shape), np.array(to)]
    return Case("CenterCropPad", inputs, attrs, constant=constant, opset=18, output_rank=len(shape))


CASES: list[Case] = [
    *(linear_attention(rule) for rule in ("linear", "gated", "delta", "gated_delta")),
    linear_attention("gated_delta", heads=(2, 2), past=True, scale=0.3),
    linear_attention("gated", past=True, of=1),
    crop((5, 4, 3), [3, 6, 3]),
    crop((5, 4, 3), [3, 7], axes=[0, -1]),
    crop((2, 6), [3, 3], constant=()),
    Case("SwiGLU", [rng.normal(size=(2, 3)), rng.normal(size=(2, 3))], opset=28, no_runtime=NO_KERNEL),
    Case("SwiGLU", [rng.normal(size=(2, 3)), rng.normal(size=(2, 3))], {"alpha": 1.7}, opset=28, no_runtime=NO_KERNEL),
]
