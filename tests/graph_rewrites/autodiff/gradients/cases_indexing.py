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
    *[
        Case(
            "Slice",
            [X, ints(start), ints(end), ints(2), ints(step)],
            constant=[1, 2, 3, 4],
            note=f"{start}:{end}:{step}",
        )
        for start, end, step in [(1, 5, 2), (1, 4, 3), (4, 0, -1), (-2, -100, -3), (3, 4, 5), (0, 5, 4)]
    ],
    Case("Slice", [X, ints(2, -1), ints(0, -100), ints(1, 2), ints(-1, -2)], constant=[1, 2, 3, 4], note="two axes"),
    Case("Slice", [X, ints(3), ints(3)], constant=[1, 2], note="nothing"),
    Case("Slice", [X, ints(-1), ints(-100), ints(1), ints(-2)], note="run-time, backwards"),
    Case("Slice", [X, ints(1, 0), ints(100, 3)], note="run-time, default axes"),
    *[Case("Gather", [X, np.array([[2, 0], [-1, 2]])], {"axis": axis}) for axis in (0, 1, -1)],
    Case("Gather", [X, np.array(1)], {"axis": 1}, note="scalar index"),
    Case("Gather", [X, ints(0, 0, 2)], constant=[1], note="repeated"),
    *[Case("Gather", [X, np.array(i)], {"axis": a}, constant=[1], note=f"one, {i}@{a}") for i, a in [(0, 1), (-1, -1)]],
    *[Case("Gather", [X, np.array(i)], {"axis": 0}, constant=[1], note=f"one, {i}") for i in ([1], [[2]])],
    Case("Gather", [X, np.array([[0, 2], [1, 1]], np.int32)], {"axis": 1}, note="int32"),
    Case("Gather", [rng.normal(size=7), np.array([3, -1, 3])], note="vector"),
    Case("GatherElements", [X, rng.integers(-3, 3, size=(2, 4, 5))], {"axis": 0}),
    Case("GatherElements", [X, rng.integers(0, 5, size=(3, 4, 2))], {"axis": -1}),
    Case("GatherND", [X, np.array([[0, 1], [2, 3], [0, 1]])], note="repeated"),
    Case("GatherND", [X, np.array([[[1]], [[-1]]])]),
    Case("GatherND", [X, rng.integers(0, 4, size=(3, 2, 1))], {"batch_dims": 1}),
    Case("GatherND", [X, rng.integers(-2, 2, size=(3, 4, 2, 1))], {"batch_dims": 2}),
    *[Case("Trilu", [SQUARE], {"upper": upper}) for upper in (0, 1)],
    Case("Trilu", [SQUARE, np.array(-1)], {"upper": 1}),
    Case("Trilu", [SQUARE, np.array(2)], {"upper": 0}, constant=[1]),
]
