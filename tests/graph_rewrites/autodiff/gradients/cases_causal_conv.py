"""Cases for `gradients/causal_conv.py`."""

from typing import Any

import numpy as np

from .harness import Case

rng = np.random.default_rng(12)
NO_KERNEL = "ONNX Runtime 1.32 has no kernel of opset 27"


def causal(width: int = 3, bias: bool = False, past: bool = False, of: int = 0, **attrs: Any) -> Case:
    """Two samples of four channels and five steps."""
    inputs: list[Any] = [rng.normal(size=(2, 4, 5)), rng.normal(size=(4, 1, width))]
    inputs += [rng.normal(size=4) if bias else None, rng.normal(size=(2, 4, width - 1)) if past else None]
    while inputs[-1] is None:
        inputs.pop()
    return Case("CausalConvWithState", inputs, attrs, outputs=2, of=of, opset=27, constant=(1,), no_runtime=NO_KERNEL)


CASES: list[Case] = [
    causal(),
    causal(width=1, bias=True),
    causal(past=True, activation="none"),
    causal(bias=True, past=True, activation="silu"),
    causal(width=7, activation="swish"),
    causal(past=True, of=1),
    causal(width=8, past=True, of=1),
]
