"""Cases for `gradients/resize.py` and `gradients/padding.py`."""

import numpy as np

from .cases_shape import ints
from .harness import TOLERANCE, Case

rng = np.random.default_rng(5)
X = rng.normal(size=(1, 2, 5, 4))
UP = np.array([1, 1, 1.6, 2], np.float32)
DOWN = np.array([1, 1, 0.6, 0.5], np.float32)
OFF = np.array([1, 1, 0.7, 0.5], np.float32)
MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
EMPTY = np.zeros(0, np.float32)


def resize(scales: np.ndarray, note: str = "", opset: int = 17, **attributes: object) -> Case:
    note = f"{scales[2:].tolist()}{note}{attributes}"
    return Case("Resize", [X, None, scales], dict(attributes), constant=[2], opset=opset, note=note)


CASES = [
    *[
        resize(s, mode=m, coordinate_transformation_mode=c)
        for s in (UP, DOWN)
        for m in ("linear", "cubic")
        for c in MODES
    ],
    *[resize(s, mode="nearest", coordinate_transformation_mode=c) for s in (UP, DOWN) for c in MODES],
    # Scales whose float32 coordinates stay off whole numbers, where the runtimes round differently.
    *[resize(s, nearest_mode=m) for s in (UP, OFF) for m in ("round_prefer_ceil", "floor", "ceil")],
    *[resize(s, mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1) for s in (UP, DOWN)],
    resize(DOWN, mode="linear", opset=18, antialias=1),
    resize(DOWN, mode="cubic", opset=18, antialias=1),
    resize(UP, mode="linear", opset=19, coordinate_transformation_mode="half_pixel_symmetric"),
    Case("Resize", [X, None, None, ints(1, 2, 7, 3)], {"mode": "linear"}, constant=[3], note="sizes"),
    Case("Resize", [X, None, None, ints(1, 2, 10, 8)], {"mode": "nearest"}, note="run-time sizes", output_rank=4),
    Case(
        "Resize", [X, None, None, ints(7, 3)], {"mode": "linear", "axes": [2, 3]}, constant=[3], opset=18, note="axes"
    ),
    Case(
        "Resize",
        [X, np.array([0, 0, 0.2, -0.3, 1, 1, 0.9, 0.8], np.float32), None, ints(1, 2, 4, 6)],
        {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 3.0},
        constant=[1, 3],
        note="crop",
    ),
    Case(
        "Resize",
        [rng.normal(size=(2, 2, 5)), None, np.array([1, 1, 2.5], np.float32)],
        {"mode": "linear"},
        constant=[2],
    ),
    Case("Resize", [rng.normal(size=(1, 1, 3, 2, 4)), None, np.array([1, 1, 2, 2, 0.5], np.float32)], constant=[2]),
    Case("Resize", [X, None, UP], {"mode": "linear"}, note="run-time scales"),
    Case("Resize", [X, EMPTY, EMPTY, ints(1, 2, 7, 3)], {"mode": "linear"}, constant=[1, 2, 3], note="empty constants"),
    Case("Resize", [X, None, UP[2:]], {"mode": "linear", "axes": [2, 3]}, constant=[2], opset=18, note="scaled axes"),
    Case("Resize", [X, None, UP[2:][::-1]], {"axes": [3, 2]}, constant=[2], opset=18, note="axes, last first"),
    Case("Resize", [X, None, UP[3:]], {"mode": "linear", "axes": [3]}, constant=[2], opset=18, note="one axis"),
    *[
        Case(
            "Resize",
            [X, np.array([0, 0, 0.2, 0.1, 1, 1, 0.9, 0.8], np.float32), UP],
            {"mode": mode, "coordinate_transformation_mode": "tf_crop_and_resize"},
            constant=[1, 2],
            note=f"crop {mode}",
        )
        for mode in ("nearest", "linear", "cubic")
    ],
    *[
        Case(
            "Resize",
            [rng.normal(size=(1, 2, *size)), None, np.array([1, 1, *s], np.float32)],
            {"mode": m},
            constant=[2],
        )
        for size, s in [((1, 4), (3, 1)), ((6, 1), (0.5, 2))]
        for m in ("nearest", "linear", "cubic")
    ],
    Case(
        "Resize",
        [rng.normal(size=(2, 1, 3, 2, 4)), None, np.array([1, 1, 2, 1.5, 0.5], np.float32)],
        {"mode": "linear"},
        constant=[2],
        note="volume",
    ),
    Case("Resize", [rng.normal(size=(4, 5)), None, np.array([2, 0.6], np.float32)], {"mode": "linear"}, constant=[2]),
    Case(
        "Resize",
        [rng.normal(size=(1, 4, 5, 2)), None, np.array([1, 2, 1.5, 1], np.float32)],
        {"mode": "linear"},
        constant=[2],
        note="channels last",
    ),
    *[
        Case(
            "Resize",
            [X, None, None, ints(*sizes)],
            {"mode": mode, "axes": [2, 3], "keep_aspect_ratio_policy": policy},
            constant=constant,
            opset=18,
            output_rank=4,
            note=f"{policy},{sizes},{mode},{constant}",
            # The evaluator's cubic weights sum to 1 in float32 only.
            tolerance=1e-5 if mode == "cubic" else TOLERANCE,
        )
        for policy in ("not_larger", "not_smaller")
        for sizes in ((10, 12), (5, 8), (7, 7), (3, 3))
        for mode in ("nearest", "linear", "cubic")
        for constant in ([3], [])
        if not constant or mode == "linear"
    ],
    Case(
        "Resize",
        [X, None, None, ints(7, 9)],
        {"mode": "linear", "axes": [3, 2], "keep_aspect_ratio_policy": "not_smaller"},
        opset=18,
        output_rank=4,
        note="kept ratio, last axis first",
    ),
    Case(
        "Resize",
        [X, None, None, ints(7)],
        {"mode": "linear", "axes": [3], "keep_aspect_ratio_policy": "not_larger"},
        constant=[3],
        opset=18,
        note="kept ratio, one axis",
    ),
    # The region of interest; channels off the border, beyond which the value jumps.
    *[
        Case(
            "Resize",
            [X, region, None, ints(*sizes)],
            {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 3.0},
            constant=[3],
            note=f"region,{sizes}",
            no_runtime="ONNX Runtime 1.32 crops the last two axes only",
        )
        for region in (
            np.array([0, 0.1, 0.21, -0.33, 1, 0.8, 0.87, 0.83]),
            np.array([0, 0.1, 0.9, 0.11, 1, 0.9, 0.13, 1.21]),
        )
        for sizes in ((1, 2, 4, 6), (1, 2, 1, 3))
    ],
    Case(
        "Resize",
        [X, np.array([0.21, -0.33, 0.87, 0.83]), None, ints(3, 6)],
        {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "axes": [3, 2]},
        constant=[3],
        opset=18,
        note="region of two axes",
    ),
    Case("Pad", [X, ints(0, 0, 1, 2, 0, 1, 2, 0)], constant=[1], note="constant"),
    Case("Pad", [X, ints(0, 0, -1, 2, 0, -1, 2, -1)], constant=[1], note="negative"),
    Case("Pad", [X, ints(0, 0, -1, 2, 0, -1, 2, -1), np.array(0.7)], constant=[1], note="negative, value"),
    Case("Pad", [X, ints(0, 0, -1, 2, 0, -1, 2, -1)], note="negative at run time", output_rank=4),
    Case("Pad", [X, ints(2, 0, 0, 0, 0, 0, 0, 0)], {"mode": "edge"}, constant=[1], note="batch"),
    Case("Pad", [X, ints(0, 0, 1, 2, 0, 1, 2, 0), np.array(0.7)], constant=[1], note="constant value"),
    Case("Pad", [X, ints(0, 0, 1, 2, 0, 1, 2, 0)], note="run-time pads"),
    *[Case("Pad", [X, ints(0, 0, 1, 2, 0, 0, 2, 0)], {"mode": m}, constant=[1]) for m in ("reflect", "edge")],
    *[Case("Pad", [X, ints(0, 0, 1, 2, 0, 0, 2, 0)], {"mode": m}, note=f"run-time {m}") for m in ("reflect", "edge")],
    Case("Pad", [X, ints(0, 0, 2, 2, 0, 0, 1, 0)], {"mode": "wrap"}, constant=[1], opset=19),
    Case("Pad", [X, ints(1, 2, 0, 1), None, ints(-1, 2)], constant=[1, 3], opset=18, note="axes"),
    Case(
        "Pad", [X, ints(1, 2, 0, 1), None, ints(3, 2)], {"mode": "edge"}, opset=18, note="run-time axes", output_rank=4
    ),
]
