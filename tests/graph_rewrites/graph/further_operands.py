"""Operands of operators that have no case among the gradients, and operands that show a fact which those do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from onnx import TensorProto

MS = "com.microsoft::"
rng = np.random.default_rng(0)
X, Y, ROW = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4)), rng.normal(size=(4,))
IMAGE = rng.normal(size=(2, 4, 5, 6))
ONES = np.ones(4)
ZERO = np.array(0.0)
SPECIAL = np.array([[1.0, np.nan, -np.inf], [0.0, np.inf, -2.0]])
# Both lie on whole steps, in part alike.
EVEN, ODD = np.rint(2 * X), np.rint(2 * Y)
SCALE, BYTE = np.float32(1 / 40), np.array(128, np.uint8)
SIGNED = np.array(-3, np.int8)


@dataclass(frozen=True)
class Further:
    """One node: its operator, inputs and attributes, and what computes it."""

    key: str
    inputs: Sequence[Any]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 17
    outputs: int = 1
    by: Literal["numpy", "kernel", "decomposition"] = "numpy"


def array(*shape: int) -> np.ndarray:
    return rng.normal(size=shape)


def bytes_(*shape: int) -> np.ndarray:
    return rng.integers(60, 190, size=shape).astype(np.uint8)


def weights(*shape: int) -> np.ndarray:
    return rng.integers(-40, 40, size=shape).astype(np.int8)


def quantised(key: str, inputs: Sequence[Any], outputs: int = 1, **attrs: Any) -> Further:
    return Further(key, inputs, attrs, outputs=outputs, by="kernel")


COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
QUANTISERS = ("QuantizeLinear", f"{MS}QuantizeLinear")
DEQUANTISERS = ("DequantizeLinear", f"{MS}DequantizeLinear")

FURTHER = [
    # Truth values, comparisons, bits.
    Further("Not", [X > 0]),
    *(Further(op, [X > 0, Y > 0]) for op in ("And", "Or", "Xor")),
    *(Further(op, pair) for op in COMPARISONS for pair in ((EVEN, ODD), (EVEN, ODD[0]))),
    *(Further(op, [x]) for op in ("IsNaN", "IsInf") for x in (SPECIAL, X)),
    Further("BitShift", [bytes_(2, 3), np.array([1, 2, 3], np.uint8)], {"direction": "LEFT"}),
    # Broadcasting both ways, two inputs alike.
    *(Further(op, pair, by="kernel") for op in ("Sum", "Mean") for pair in ((ROW, X), (X, Y))),
    # Hinges and bounds.
    Further("Clip", [X, ZERO]),
    Further("Clip", [X, ZERO, np.array(6.0)]),
    *(Further(op, [X, ZERO]) for op in ("Max", "Min")),
    # To a narrower type.
    Further("Cast", [X], {"to": TensorProto.FLOAT16}),
    Further("CastLike", [X, ROW.astype(np.float16)]),
    # Normalisations that take out all of the size: without bias, and with nothing beside the data.
    Further("LRN", [IMAGE], {"size": 3, "alpha": 1.0, "beta": 0.5, "bias": 1e-9}),
    Further(f"{MS}SimplifiedLayerNormalization", [X, ONES], {"axis": -1, "epsilon": 1e-6}, by="decomposition"),
    # Convolutions without an activation.
    Further(f"{MS}FusedConv", [array(1, 3, 6, 5), array(4, 3, 3, 3)], by="kernel"),
    Further(f"{MS}NhwcConv", [array(1, 6, 5, 3), array(4, 3, 3, 3)], by="decomposition"),
    Further(f"{MS}NhwcFusedConv", [array(1, 6, 5, 3), array(4, 3, 3, 3)], by="decomposition"),
    # Resampling.
    *(
        Further("Upsample", [IMAGE, np.float32([1, 1, 2, 3])], {"mode": mode}, opset=9, by="kernel")
        for mode in ("nearest", "linear")
    ),
    # Chance.
    *(Further(f"Random{kind}", [], {"shape": [2, 3]}, by="kernel") for kind in ("Normal", "Uniform")),
    *(Further(f"Random{kind}Like", [X], by="kernel") for kind in ("Normal", "Uniform")),
    Further("Bernoulli", [np.full((4, 5), 0.5)], by="kernel"),
    Further("Multinomial", [X[0]], {"sample_size": 9}, by="kernel"),
    # Quantised tensors.
    *(quantised(op, [X, SCALE, BYTE]) for op in QUANTISERS),
    *(quantised(op, [bytes_(2, 3, 4), SCALE, BYTE]) for op in DEQUANTISERS),
    quantised("QuantizeLinear", [X, np.float32([0.1, 0.02, 0.05]), np.array([3, 100, 200], np.uint8)], axis=1),
    quantised("DequantizeLinear", [weights(2, 3), np.float32([0.1, 0.02, 0.05]), np.int8([0, 3, 5])], axis=1),
    quantised("DynamicQuantizeLinear", [X], outputs=3),
    # Of few scores that lie close, so that none is rounded to nothing.
    *(
        quantised(
            f"{MS}QLinearSoftmax",
            [rng.integers(110, 140, size=shape).astype(np.uint8), SCALE, BYTE, np.float32(1 / 128), np.uint8(0)],
            axis=-1,
            opset=13,
        )
        for shape in ((4, 3), (2, 3, 4), (3, 2, 3))
    ),
    quantised("MatMulInteger", [bytes_(2, 6), weights(6, 4), BYTE, SIGNED]),
    quantised("ConvInteger", [bytes_(1, 2, 6, 5), weights(3, 2, 3, 3), BYTE, SIGNED]),
    quantised(
        f"{MS}QLinearConv",
        [bytes_(1, 2, 6, 5), SCALE, BYTE, weights(3, 2, 3, 3), np.float32(0.01), SIGNED, np.float32(0.05), BYTE],
    ),
    quantised(
        f"{MS}MatMulIntegerToFloat",
        [bytes_(2, 6), weights(6, 4), SCALE, np.float32(0.01), BYTE, SIGNED],
    ),
    quantised(
        f"{MS}QAttention",
        [bytes_(2, 5, 8), weights(8, 36), np.zeros(36, np.float32), SCALE, np.float32(0.01), None, BYTE, np.int8(0)],
        num_heads=2,
    ),
]
