"""Cases for `gradients/indexing.py`."""

import numpy as np

from .cases_shape import ints
from .harness import Case

rng = np.random.default_rng(4)
X = rng.normal(size=(3, 4, 5))
SQUARE = rng.normal(size=(2, 4, 5))

CASES = [
    Case("Slice", [X, ints(1, 0), ints(3, 4), ints(0, 2)], constant=[1, 2, 3]),
    Case("Slice", [X, ints(1), ints(2)], constant=[1, 2], note="default axes"),
    Case("Slice", [X, ints(-3, 1), ints(-1, 1000), ints(-1, -2)], constant=[1, 2, 3], note="negative and clamped"),
    Case("Slice", [X, ints(0), ints(4), ints(1), ints(2)], constant=[1, 2, 3, 4], note="step 2"),
    Case("Slice", [X, ints(4), ints(-100), ints(2), ints(-2)], constant=[1, 2, 3, 4], note="backwards"),
    Case("Slice", [X, ints(1), ints(3), ints(1), ints(1)], note="run-time arguments"),
    Case("Slice", [X, ints(1), ints(3), ints(1), None], constant=[1, 2, 3], note="no steps"),
    *[Case("Gather", [X, np.array([[2, 0], [-1, 2]])], {"axis": axis}) for axis in (0, 1, -1)],
    Case("Gather", [X, np.array(1)], {"axis": 1}, note="scalar index"),
    Case("Gather", [X, ints(0, 0, 2)], constant=[1], note="repeated"),
    Case("GatherElements", [X, rng.integers(-3, 3, size=(2, 4, 5))], {"axis": 0}),
    Case("GatherElements", [X, rng.integers(0, 5, size=(3, 4, 2))], {"axis": -1}),
    Case("GatherND", [X, np.array([[0, 1], [2, 3], [0, 1]])], note="repeated"),
    Case("GatherND", [X, np.array([[[1]], [[-1]]])]),
    Case("GatherND", [X, rng.integers(0, 4, size=(3, 2, 1))], {"batch_dims": 1}),
    *[Case("Trilu", [SQUARE], {"upper": upper}) for upper in (0, 1)],
    Case("Trilu", [SQUARE, np.array(-1)], {"upper": 1}),
]
