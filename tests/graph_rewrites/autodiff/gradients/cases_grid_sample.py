"""Cases for `gradients/grid_sample.py`; positions inside and far outside, none on a pixel's centre or a border."""

import itertools

import numpy as np

from .harness import Case

rng = np.random.default_rng(5)


def sample(
    sizes: tuple[int, ...], points: tuple[int, ...], mode: str, padding: str, aligned: int, opset: int = 20
) -> Case:
    """Two samples of three channels, read at positions up to 2.3 half-widths from the middle."""
    x = rng.normal(size=(2, 3, *sizes))
    grid = rng.uniform(-2.3, 2.3, (2, *points, len(sizes)))
    attrs = {"mode": mode, "padding_mode": padding, "align_corners": aligned}
    volume = "ONNX Runtime samples volumes by linear and nearest interpolation alone"
    return Case(
        "GridSample", [x, grid], attrs, opset=opset, no_runtime=volume if len(sizes) > 2 and mode == "cubic" else ""
    )


MODES, PADDINGS = ("linear", "nearest", "cubic"), ("zeros", "border", "reflection")
CASES: list[Case] = [
    *(sample((5, 4), (3, 6), *options) for options in itertools.product(MODES, PADDINGS, (0, 1))),
    *(sample((5, 4), (3, 6), mode, "zeros", 0, opset=17) for mode in ("bilinear", "nearest", "bicubic")),
    *(sample((4, 3, 5), (2, 3, 2), *options) for options in itertools.product(MODES[:2], PADDINGS, (0, 1))),
    sample((4, 3, 5), (2, 1, 2), "cubic", "border", 0),
    sample((6, 1), (2, 3), "linear", "reflection", 1),
    sample((6, 1), (2, 3), "linear", "zeros", 1),
    sample((5, 4), (3, 2), "linear", "border", 1, opset=22),
]
CASES += [
    Case("AffineGrid", [rng.normal(size=(2, 2, 3)), np.array([2, 1, 4, 5])], opset=20, output_rank=4),
    Case(
        "AffineGrid",
        [rng.normal(size=(2, 3, 4)), np.array([2, 1, 4, 5, 3])],
        {"align_corners": 1},
        constant=[1],
        opset=20,
        output_rank=5,
    ),
]
