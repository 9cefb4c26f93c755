"""Cases for operators on quantised tensors, of the default domain and of com.microsoft.

Ranges are wide enough for most values and too narrow for some, whose gradient is zero.
"""

from __future__ import annotations

import numpy as np

from .harness import Array, Case, Quantised

rng = np.random.default_rng(5)
STEP = 1 / 40
SCALE = np.array(STEP)
BYTE, SIGNED = np.array(128, np.uint8), np.array(-3, np.int8)
OUT = np.array(0.05), np.array(120, np.uint8)


def q(*shape: int) -> Quantised:
    """A quantised input; about one value in a thousand is outside the range."""
    return Quantised(rng.normal(size=shape), SCALE, BYTE)


def weights(*shape: int) -> Array:
    """Weights of seven bits: sums of two products with more overflow on CPUs without VNNI."""
    return rng.integers(-60, 60, size=shape).astype(np.int8)


def bytes_(*shape: int) -> Array:
    return rng.integers(0, 256, size=shape).astype(np.uint8)


def scales(count: int) -> Array:
    return rng.uniform(0.005, 0.01, size=count).astype(np.float32)


X = [np.float32(SCALE), BYTE]
Y = [np.float32(OUT[0]), OUT[1]]
BIAS = rng.integers(-500, 500, size=4).astype(np.int32)


def unary(op: str, *shape: int, **attrs: object) -> Case:
    scale, zero = (np.array(1 / 128), np.array(0, np.uint8)) if op in ("QLinearSigmoid", "QLinearSoftmax") else OUT
    inputs = [q(*shape), *X, np.float32(scale), zero]
    missing = "the CPU has no kernel" if op == "QLinearReduceMean" else ""
    return Case(op, inputs, attrs, dequantise=(scale, zero), no_runtime=missing)


def quantising(op: str, inputs: list[Array | Quantised | None], attrs: dict[str, object], note: str = "") -> Case:
    domain = "" if op in ("QLinearConv", "QLinearMatMul") else "com.microsoft"
    return Case(op, inputs, attrs, domain, dequantise=OUT, note=note)


CASES = [
    quantising("QLinearAdd", [q(2, 3, 4), *X, q(3, 1), *X, *Y], {}),
    quantising("QLinearMul", [q(2, 3, 4), *X, q(2, 3, 4), *X, *Y], {}),
    quantising("QLinearAdd", [q(2, 8), *X, bytes_(8), *X, *Y], {}, "constant"),
    unary("QLinearSigmoid", 2, 9),
    unary("QLinearLeakyRelu", 2, 9, alpha=0.1),
    unary("QLinearSoftmax", 2, 9, axis=-1, opset=13),
    unary("QLinearSoftmax", 2, 3, 4, axis=1, opset=12),
    unary("QLinearReduceMean", 2, 3, 4, axes=[1, 2], keepdims=1),
    unary("QLinearAveragePool", 1, 2, 6, 6, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
    unary("QLinearAveragePool", 1, 6, 6, 2, kernel_shape=[2, 2], channels_last=1),
    unary("QLinearGlobalAveragePool", 2, 3, 4, 5),
    unary("QLinearGlobalAveragePool", 2, 4, 5, 3, channels_last=1),
    quantising("QLinearConcat", [*Y, q(2, 3), *X, q(2, 4), *X], {"axis": 1}),
    quantising("QLinearWhere", [rng.normal(size=(2, 5)) > 0, q(2, 5), *X, q(2, 5), *X, *Y], {}),
    quantising(
        "QLinearConv",
        [q(1, 4, 6, 6), *X, weights(4, 2, 3, 3), scales(4), np.zeros(4, np.int8), *Y, BIAS],
        {"group": 2, "pads": [1, 1, 1, 1], "strides": [2, 1]},
        "per channel",
    ),
    quantising(
        "QLinearConv",
        [q(1, 3, 6, 6), *X, bytes_(4, 3, 3, 3), np.float32(0.008), np.array(130, np.uint8), *Y],
        {"dilations": [2, 1]},
        "per tensor",
    ),
    quantising(
        "QLinearMatMul",
        [q(2, 3, 6), *X, weights(6, 4), scales(4), np.zeros(4, np.int8), *Y],
        {},
        "per column",
    ),
    quantising("QLinearMatMul", [q(3, 6), *X, q(6, 4), *X, *Y], {}, "two computed"),
    quantising(
        "QGemm",
        [q(2, 6), *X, weights(4, 6), scales(4), np.zeros(4, np.int8), BIAS, *Y],
        {"transB": 1, "alpha": 0.5},
    ),
    Case(
        "QLinearConv",
        [q(1, 6, 6, 3), *X, weights(4, 3, 3, 3), scales(4), np.zeros(4, np.int8), *Y, BIAS],
        {"channels_last": 1},
        dequantise=OUT,
        constant=[3],
    ),
    Case(
        "NhwcMaxPool",
        [q(1, 6, 6, 3)],
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        dequantise=(SCALE, BYTE),
    ),
    Case(
        "QGemm",
        [q(2, 6), *X, bytes_(6, 4), np.float32(0.01), np.array(100, np.uint8), BIAS],
        {},
        note="float output",
        values=1e-4,
    ),
    Case(
        "MatMulIntegerToFloat",
        [q(2, 3, 6), weights(6, 4), np.float32(SCALE), scales(4), BYTE, np.zeros(4, np.int8), rng.normal(size=4)],
        values=1e-4,
    ),
    Case(
        "DynamicQuantizeMatMul",
        [rng.normal(size=(3, 6)), weights(6, 4), scales(4)[:1], None, rng.normal(size=4)],
        values=0.02,
        wrt=[0, 4],
    ),
    Case(
        "QAttention",
        [
            q(2, 5, 8),
            weights(8, 24),
            rng.normal(size=24).astype(np.float32),
            np.float32(SCALE),
            np.float32(0.01),
            None,
            BYTE,
            np.array(0, np.int8),
        ],
        {"num_heads": 2},
        values=1e-4,
    ),
]
