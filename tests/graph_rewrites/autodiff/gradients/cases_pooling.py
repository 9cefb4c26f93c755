"""Cases for `gradients/pooling.py`; all values differ, so maxima are no ties."""

from typing import Any

import numpy as np

from .harness import Case

rng = np.random.default_rng(0)


def pool(
    op: str, sizes: tuple[int, ...], kernel: tuple[int, ...], opset: int = 17, outputs: int = 1, **attrs: Any
) -> Case:
    """A pool of 2 samples of 3 channels."""
    x = rng.permutation(np.linspace(-2, 2, 6 * int(np.prod(sizes)))).reshape(2, 3, *sizes)
    no_runtime = attrs.pop("no_runtime", "")
    note = f"{outputs} outputs, {attrs}" if outputs > 1 else ""
    attrs = {"kernel_shape": list(kernel), **attrs}
    return Case(op, [x], attrs, opset=opset, outputs=outputs, no_runtime=no_runtime, note=note)


# A window that would start in the padding at the end is none, yet onnx's own inference and checker count it.
LATE = "onnx's checker wants an output that is one window too large"
SAME = ("SAME_UPPER", "SAME_LOWER", "VALID")
# ONNX Runtime's pools forget dilations when they compute SAME padding.
COMMON: list[dict[str, Any]] = [
    {"sizes": (7,), "kernel": (3,)},
    {"sizes": (7, 6), "kernel": (2, 2), "strides": [2, 2]},
    {"sizes": (7, 6), "kernel": (3, 3), "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"sizes": (7, 6), "kernel": (3, 3), "strides": [2, 2], "pads": [0, 1, 1, 0]},
    {"sizes": (8, 6), "kernel": (3, 2), "strides": [3, 3]},
    {"sizes": (5, 4, 6), "kernel": (2, 3, 1), "strides": [2, 1, 3], "pads": [1, 0, 0, 0, 1, 0]},
    {"sizes": (7, 6), "kernel": (3, 3), "strides": [2, 2], "ceil_mode": 1},
    {"sizes": (6, 8), "kernel": (3, 2), "strides": [2, 3], "pads": [1, 0, 1, 1], "ceil_mode": 1, "no_runtime": LATE},
    {"sizes": (6,), "kernel": (2,), "strides": [3], "ceil_mode": 1, "no_runtime": LATE},
    {"sizes": (8,), "kernel": (3,), "strides": [2], "pads": [1, 1], "ceil_mode": 1},
    {"sizes": (7, 6), "kernel": (7, 6)},
    {"sizes": (1, 5), "kernel": (1, 3), "pads": [0, 1, 0, 1]},
    *[{"sizes": (7, 6), "kernel": (3, 2), "auto_pad": pad, "strides": [2, 2]} for pad in SAME],
]
DILATED: list[dict[str, Any]] = [
    {"sizes": (9, 8), "kernel": (3, 2), "dilations": [2, 3]},
    {"sizes": (9, 8), "kernel": (3, 2), "dilations": [2, 3], "strides": [2, 2], "pads": [1, 1, 2, 0]},
    {"sizes": (9,), "kernel": (2,), "dilations": [2], "strides": [2], "pads": [0, 1], "ceil_mode": 1},
]


LP = [attrs for attrs in COMMON if "ceil_mode" not in attrs]

CASES = [
    *[pool("MaxPool", **attrs) for attrs in COMMON + DILATED],
    *[pool("MaxPool", **attrs, storage_order=1) for attrs in (COMMON[2], COMMON[5])],
    *[pool("MaxPool", **attrs, outputs=2) for attrs in (COMMON[2], COMMON[5], COMMON[6])],
    pool("MaxPool", **COMMON[2], outputs=2, storage_order=1),
    pool("MaxPool", **COMMON[2], opset=22),
    *[pool("AveragePool", **attrs) for attrs in COMMON],
    *[pool("AveragePool", **attrs, count_include_pad=1) for attrs in COMMON],
    *[pool("AveragePool", **attrs, opset=19) for attrs in COMMON + DILATED],
    *[pool("AveragePool", **attrs, opset=19, count_include_pad=1) for attrs in COMMON + DILATED],
    *[pool("LpPool", **attrs, p=p) for attrs in LP for p in (2, 3)],
    pool("LpPool", (7, 6), (3, 2), strides=[2, 2]),
    pool("LpPool", (7, 6), (3, 2), strides=[2, 2], p=1),
    *[pool("LpPool", **attrs, opset=18) for attrs in COMMON + DILATED],
    *[Case("GlobalAveragePool", [rng.normal(size=(2, 3, *sizes))]) for sizes in [(5,), (4, 3), (2, 3, 4), (1, 1)]],
    *[Case("GlobalMaxPool", [rng.normal(size=(2, 3, *sizes))]) for sizes in [(5,), (4, 3), (2, 3, 4), (1, 1)]],
    *[
        Case("GlobalLpPool", [rng.normal(size=(2, 3, *s))], {"p": p})
        for s in [(5,), (4, 3), (2, 3, 4)]
        for p in (1, 2, 3)
    ],
    Case("GlobalLpPool", [rng.normal(size=(2, 3, 4, 4))]),
]
