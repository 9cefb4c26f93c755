"""Cases for `gradients/cumulative.py`."""

import numpy as np

from .harness import Case

rng = np.random.default_rng(22)
X = rng.normal(size=(2, 4, 3))
ONE_ZERO, ZEROS = X.copy(), X.copy()
ONE_ZERO[0, 1, 0] = ONE_ZERO[1, 0, 1] = ONE_ZERO[1, 3, 2] = 0
ZEROS[0, 1:3, 0] = ZEROS[1, :, 1] = ZEROS[0, 3, 2] = ZEROS[0, 0, 2] = 0
DIRECTIONS = [{}, {"exclusive": 1}, {"reverse": 1}, {"exclusive": 1, "reverse": 1}]

CASES = [
    *[Case("CumSum", [X, np.array(axis)], attrs, constant=[1]) for axis in (1, -1) for attrs in DIRECTIONS],
    *[Case("CumSum", [X, np.array(axis, np.int32)], note=f"run-time axis {axis}") for axis in (0, 2)],
    *[
        Case("CumProd", [x, np.array(axis)], attrs, constant=[1], opset=26, note=f"{note},{axis}")
        for x, note in ((X, "plain"), (ONE_ZERO, "a zero"), (ZEROS, "zeros"))
        for axis in (1, -1)
        for attrs in DIRECTIONS
    ],
    Case("CumProd", [X, np.array(0, np.int32)], opset=26, note="run-time axis"),
]
