"""Cases for `gradients/shape.py`."""

import numpy as np

from .harness import Case

rng = np.random.default_rng(0)
X = rng.normal(size=(2, 3, 4))
IMAGE = rng.normal(size=(2, 8, 4, 6))


def ints(*values: int) -> np.ndarray:
    """An int64 vector."""
    return np.array(values, np.int64)


CASES = [
    *[
        Case("Reshape", [X, ints(*s)], constant=[1], note=str(s))
        for s in [(6, 4), (0, -1), (-1,), (2, 0, 2, 2), (1, 24, 1)]
    ],
    Case("Reshape", [X, ints(4, 6)], note="shape at run time", output_rank=2),
    Case("Reshape", [X, ints(2, 12)], {"allowzero": 1}, constant=[1]),
    Case("Reshape", [X[0, 0, :1], ints()], constant=[1], note="to a scalar"),
    *[Case("Flatten", [X], {"axis": axis}) for axis in (0, 1, 2, 3, -1)],
    Case("Flatten", [X]),
    Case("Transpose", [X]),
    *[Case("Transpose", [X], {"perm": perm}) for perm in ([0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 2, 1])],
    Case("Squeeze", [X[:, :1, None], ints(1, 2)], constant=[1]),
    Case("Squeeze", [X[:, :1], ints(-2)], constant=[1], note="negative axis"),
    Case("Squeeze", [X[:1, :1]], note="every axis of size 1", output_rank=1),
    Case("Unsqueeze", [X, ints(0, 3)], constant=[1]),
    Case("Unsqueeze", [X, ints(-1)], constant=[1], note="negative axis"),
    *[
        Case("Expand", [x, ints(*s)], constant=[1])
        for x, s in [(X, (1, 3, 1)), (X[:, :1], (5, 1, 3, 4)), (X[:1, 0], (3, 4))]
    ],
    Case("Expand", [X[:, :1], ints(2, 3, 4)], note="shape at run time", output_rank=3),
    *[Case("Tile", [X, ints(*r)], constant=[1], note=str(r)) for r in [(1, 2, 3), (2, 1, 1)]],
    Case("Tile", [X, ints(2, 1, 3)], note="repeats at run time", output_rank=3),
    *[Case("Concat", [X, X[:, :2], X[:, :1]], {"axis": axis}) for axis in (1, -2)],
    Case("Concat", [X, rng.normal(size=(2, 3, 2))], {"axis": -1}),
    Case("Concat", [X], {"axis": 0}),
    Case("Concat", [X, X[:1]], {"axis": 0}, wrt=[1], note="only the second wanted"),
    *[Case("Split", [X], {"axis": 2}, outputs=2, of=of) for of in (0, 1)],
    *[Case("Split", [X, ints(1, 2, 1)], {"axis": -1}, outputs=3, of=of, constant=[1]) for of in (0, 1, 2)],
    Case("Split", [X, ints(2, 2)], {"axis": 2}, outputs=2, of=1, note="sizes at run time", output_rank=3),
    *[Case("Split", [X], {"axis": 2, "num_outputs": n}, outputs=n, of=1, opset=18) for n in (2, 3)],
    Case("Split", [X, ints(1, 1)], outputs=2, of=1, constant=[1], opset=18),
    *[Case("DepthToSpace", [IMAGE], {"blocksize": 2, "mode": mode}) for mode in ("DCR", "CRD")],
    Case("DepthToSpace", [IMAGE], {"blocksize": 2}),
    *[Case("SpaceToDepth", [IMAGE], {"blocksize": size}) for size in (1, 2)],
    *[
        Case(
            "SpaceToDepth",
            [IMAGE],
            {"blocksize": 2, "mode": mode},
            opset=28,
        )
        for mode in ("CRD", "DCR")
    ],
]
