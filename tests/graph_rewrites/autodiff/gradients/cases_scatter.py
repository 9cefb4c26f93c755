"""Cases for `gradients/scatter.py`."""

import numpy as np

from .cases_shape import ints
from .harness import Case

rng = np.random.default_rng(23)
X = rng.normal(size=(3, 4, 5))
ZEROS = X.copy()
ZEROS[1, :, :2] = ZEROS[0, 2] = 0
REDUCTIONS = [(16, "none"), (16, "add"), (16, "mul"), (18, "none"), (18, "add"), (18, "mul"), (18, "max"), (18, "min")]
# Each index of a row once ("none" leaves open which of two updates stays), and many times.
ONCE = np.array([[[4, 0, -3]], [[0, 1, 2]]])
OFTEN = rng.integers(-5, 5, size=(3, 4, 7))
UPDATES = rng.normal(size=(3, 4, 7))
HOLES = np.where(rng.random(size=UPDATES.shape) < 0.3, 0, UPDATES)
ROWS = np.array([[2], [0]])
PLACES = np.array([[1, -1], [1, -1], [0, 2], [-2, 2]])
CACHE, NEW = rng.normal(size=(3, 2, 6, 4)), rng.normal(size=(3, 2, 3, 4))

CASES = [
    *[
        Case(
            "ScatterElements", [X, ONCE, X[:2, :1, :3] + 0.1], {"axis": 2, "reduction": reduction}, opset=max(opset, 17)
        )
        for opset, reduction in REDUCTIONS
    ],
    Case("ScatterElements", [X, np.array([[[2, 0, -2]]]), X[:1, :1, :3]], note="default axis and reduction"),
    Case("ScatterElements", [X, np.array([[[4]], [[0]]], np.int32), X[:2, :1, :1]], {"axis": -1}, note="int32"),
    *[
        Case("ScatterElements", [x, OFTEN, u], {"axis": 2, "reduction": r}, opset=18, note=f"repeated, {r}{note}")
        for r in ("add", "mul", "max", "min")
        for x, u, note in ((X, UPDATES, ""), (ZEROS, HOLES, ", zeros"))
        if r == "mul" or not note
    ],
    Case("ScatterElements", [X, OFTEN, UPDATES], {"axis": 2, "reduction": "mul"}, constant=[1, 2], note="constant"),
    *[
        Case(
            "ScatterND",
            [X, indices, u],
            {"reduction": reduction},
            opset=max(opset, 17),
            note=f"{reduction}{indices.shape}",
        )
        for opset, reduction in REDUCTIONS
        for indices, u in (
            (ROWS, X[:2] + 0.1),
            (PLACES[1:], X[2, :3] - 0.1),
            (np.array([[[1, 2, 3]], [[0, 0, 0]]]), X[:2, :1, 0]),
        )
    ],
    Case("ScatterND", [X, ROWS, X[:2]], note="default reduction"),
    *[
        Case("ScatterND", [x, PLACES, u], {"reduction": r}, opset=18, note=f"repeated, {r}{note}")
        for r in ("add", "mul", "max", "min")
        for x, u, note in ((X, UPDATES[0, :, :5], ""), (ZEROS, HOLES[0, :, :5], ", zeros"))
        if r == "mul" or not note
    ],
    *[
        Case("ScatterND", [X, np.array(at), u], note=f"{np.shape(at)}")
        for at, u in (([1], X[0]), ([0, 3, 2], X[0, 0, :1].reshape(())))
    ],
    # TensorScatter: [batch, heads, time, features]
    Case("TensorScatter", [CACHE, NEW, ints(0, 3, 1)], opset=24),
    Case("TensorScatter", [CACHE, NEW], opset=24, note="at the start"),
    Case("TensorScatter", [CACHE, NEW, ints(0, 5, 4)], {"mode": "circular"}, opset=24),
    Case("TensorScatter", [CACHE[:, 0], NEW[:, 0], ints(2, 0, 1)], {"axis": 1}, opset=24),
    Case("TensorScatter", [CACHE, CACHE[:, :1] + 1, ints(0, 1, 0)], {"axis": 1}, opset=24, note="time before heads"),
    Case("TensorScatter", [CACHE, CACHE[..., :1] + 1, ints(3, 0, 2)], {"axis": -1}, opset=24),
]
