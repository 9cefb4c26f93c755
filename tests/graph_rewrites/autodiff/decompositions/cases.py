"""Cases for `contrib`: activations, matrix products, convolutions, normalisations and weight-only products."""

from __future__ import annotations

import numpy as np

from .harness import Array, Case

rng = np.random.default_rng(3)


def array(*shape: int) -> Array:
    return rng.normal(size=shape)


def positive(*shape: int) -> Array:
    return rng.uniform(0.5, 1.5, size=shape)


def nibbles(*shape: int) -> Array:
    return rng.integers(0, 256, size=shape).astype(np.uint8)


IDS = rng.integers(0, 7, size=(2, 5)).astype(np.int32)
ACTIVATIONS = [
    ("Relu", {}),
    ("Sigmoid", {}),
    ("Tanh", {}),
    ("LeakyRelu", {"activation_params": [0.2]}),
    ("Clip", {"activation_params": [-0.5, 1.0]}),
    ("HardSigmoid", {"activation_params": [0.3, 0.4]}),
]

CASES = [
    Case("Gelu", [array(2, 5)]),
    Case("BiasGelu", [array(2, 3, 5), array(5)]),
    Case("FastGelu", [array(2, 3, 5), array(5)]),
    Case("FastGelu", [array(2, 3, 5)], note="no bias"),
    Case("QuickGelu", [array(2, 5)]),
    Case("QuickGelu", [array(2, 5)], {"alpha": 1.0}),
    Case("BiasSplitGelu", [array(2, 3, 8), array(8)], no_runtime="CUDA only"),
    Case("BiasAdd", [array(2, 3, 8), array(8), array(2, 3, 8)], no_runtime="CUDA only"),
    Case("GemmFastGelu", [array(2, 3, 8), array(8, 4), array(4)], no_runtime="ROCm only"),
    Case(
        "BiasSoftmax",
        [array(2, 3, 4, 5), array(2, 1, 1, 5)],
        {"axis": 3, "is_inner_broadcast": 1},
        no_runtime="CUDA only",
    ),
    Case(
        "BiasSoftmax",
        [array(2, 3, 4, 5), array(1, 1, 4, 5)],
        {"axis": 3, "is_inner_broadcast": 0},
        no_runtime="CUDA only",
    ),
    *[
        Case(
            op,
            [array(*((2, 4, 3) if ta else (2, 3, 4))), array(*((2, 5, 4) if tb else (2, 4, 5)))],
            {"transA": ta, "transB": tb, "alpha": 0.5},
        )
        for op in ("FusedMatMul", "TransposeMatMul")
        for ta in (0, 1)
        for tb in (0, 1)
    ],
    Case("FusedMatMul", [array(3, 2, 4), array(2, 4, 5)], {"transBatchA": 1}),
    Case(
        "FusedMatMulActivation",
        [array(2, 3, 4), array(5, 4)],
        {"transB": 1, "activation": "LeakyRelu", "activation_alpha": 0.1},
        no_runtime="DirectML only",
    ),
    Case(
        "FusedMatMul", [array(4, 2, 3), array(5, 2, 4)], {"transBatchA": 1, "transA": 1, "transBatchB": 1, "transB": 1}
    ),
    Case("FusedMatMul", [array(2, 3, 4), array(4, 5)], constant=[1], note="constant weight"),
    Case(
        "FusedGemm",
        [array(4, 2), array(3, 4), array(3)],
        {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0, "activation": "LeakyRelu", "activation_alpha": 0.1},
    ),
    Case("FusedGemm", [array(2, 4), array(4, 3), array(3)], {"activation": "Relu"}),
    *[
        Case("FusedConv", [array(2, 4, 6, 5), array(6, 2, 3, 3), array(6)], {"group": 2, "activation": a} | p)
        for a, p in ACTIVATIONS
    ],
    Case(
        "FusedConv",
        [array(1, 3, 6, 6), array(4, 3, 3, 3), array(4), array(1, 4, 3, 3)],
        {"activation": "Relu", "strides": [2, 2], "pads": [1, 1, 1, 1]},
        note="sum",
    ),
    Case("FusedConv", [array(1, 3, 6, 6), array(4, 3, 3, 3)], {"activation": "Relu"}, note="no bias"),
    Case(
        "NhwcFusedConv",
        [array(1, 6, 6, 3), array(4, 3, 3, 3), array(4), array(1, 6, 6, 4)],
        {"activation": "Relu", "pads": [1, 1, 1, 1]},
        constant=[1],
        no_runtime="float16 only",
    ),
    Case(
        "NhwcConv", [array(1, 6, 6, 4), array(6, 2, 3, 3), array(6)], {"group": 2}, constant=[1], no_runtime="CUDA only"
    ),
    Case(
        "ConvTransposeWithDynamicPads",
        [array(1, 3, 4, 5), array(3, 2, 3, 3), np.array([1, 0, 0, 1])],
        {"strides": [2, 2]},
    ),
    *[
        Case(
            "GroupNorm",
            [array(*shape), positive(6).astype(np.float32), array(6).astype(np.float32)],
            {"groups": 3, "activation": swish, "channels_last": last},
            no_runtime="CUDA only",
        )
        for shape, last in (((2, 3, 4, 6), 1), ((2, 6, 3, 4), 0))
        for swish in (0, 1)
    ],
    Case("SimplifiedLayerNormalization", [array(2, 3, 5), positive(5)], {"axis": -1, "epsilon": 1e-5}, domain=""),
    *[
        Case(
            "SkipLayerNormalization",
            [array(2, 3, 8), array(2, 3, 8), positive(8), array(8), array(8)],
            outputs=4,
            of=of,
        )
        for of in (0, 3)
    ],
    Case("SkipLayerNormalization", [array(2, 3, 8), array(3, 8), positive(8)], {"epsilon": 1e-5}, note="broadcast"),
    *[
        Case(
            "SkipSimplifiedLayerNormalization",
            [array(2, 3, 8), array(2, 3, 8), positive(8), array(8)],
            outputs=4,
            of=of,
        )
        for of in (0, 3)
    ],
    *[
        Case(
            "EmbedLayerNormalization",
            [IDS, IDS % 2, array(7, 8), array(9, 8), array(2, 8), positive(8), array(8)],
            outputs=3,
            of=of,
            constant=[2, 3, 4, 5, 6],
        )
        for of in (0, 2)
    ],
    Case(
        "EmbedLayerNormalization",
        [IDS, None, array(7, 8), array(9, 8), None, positive(8), array(8), None, IDS],
        {"epsilon": 1e-5},
        note="positions",
        constant=[2, 3, 5, 6],
        outputs=2,
    ),
    *[
        Case(
            "MatMulNBits",
            [array(2, 3, 40), nibbles(5, 3, 8), positive(15), zeros],
            {"K": 40, "N": 5, "bits": 4, "block_size": 16},
            note=note,
            wrt=[0, 2],
        )
        for note, zeros in (("middle", None), ("zero points", nibbles(10)))
    ],
]
