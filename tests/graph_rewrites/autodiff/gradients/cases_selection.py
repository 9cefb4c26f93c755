"""Cases for `gradients/selection.py`, and for CenterCropPad, which the specification defines by Pad and Slice."""

import numpy as np

from .cases_shape import ints
from .harness import Case

rng = np.random.default_rng(24)
X = rng.normal(size=(3, 4, 5))
MASK = np.array([True, False, True, True])

CASES = [
    *[
        Case("TopK", [X, ints(2)], {"axis": axis, "largest": largest, "sorted": 1}, outputs=2, constant=[1])
        for axis in (0, 1, -1)
        for largest in (0, 1)
    ],
    Case(
        "TopK",
        [X, ints(3)],
        {"sorted": 0},
        outputs=2,
        note="unsorted, k at run time",
        no_runtime="the order is left open",
    ),
    Case("TopK", [X, ints(5)], outputs=2, constant=[1], opset=24, note="all"),
    *[
        Case("Compress", [X, mask], {} if axis is None else {"axis": axis}, note=f"{mask.shape},{axis}")
        for axis, mask in [(1, MASK), (-2, MASK), (0, MASK[:2]), (2, MASK), (None, MASK)]
    ],
    Case("Compress", [X, MASK], {"axis": 1}, constant=[1], note="constant condition"),
    *[Case("Unique", [X], {"sorted": order}, outputs=outputs) for order in (0, 1) for outputs in (1, 2, 4)],
    *[Case("Unique", [X], {"axis": axis}, outputs=outputs) for axis in (0, 1, -1) for outputs in (1, 4)],
    Case("ReverseSequence", [X, ints(3, 1, 2, 2)], {"time_axis": 0, "batch_axis": 1}),
    Case("ReverseSequence", [X, ints(4, 1, 3)], {"time_axis": 1, "batch_axis": 0}, constant=[1]),
    *[
        Case(
            "CenterCropPad",
            [X, ints(*shape)],
            attrs,
            constant=constant,
            opset=18,
            output_rank=3,
            note=f"{shape}{constant}{attrs}",
        )
        for shape, attrs in [((2, 7, 5), {}), ((4, 3, 8), {}), ((6,), {"axes": [1]}), ((3, 8), {"axes": [-1, 0]})]
        for constant in ([], [1])
    ],
]
