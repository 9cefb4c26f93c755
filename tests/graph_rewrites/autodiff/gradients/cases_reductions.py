"""Cases for `gradients/reductions.py`."""

import numpy as np

from .harness import Case

rng = np.random.default_rng(3)
X = rng.normal(size=(2, 3, 4))
FAR = np.where(np.abs(X) < 0.1, 0.5, X)  # away from 0
POSITIVE = rng.uniform(0.5, 2, size=(2, 3, 4))
THIN = rng.uniform(0.5, 2, size=(2, 1, 3))
ZEROS = FAR.copy()
ZEROS[0, 1, 2] = ZEROS[1, 0, 0] = ZEROS[1, 2, 0] = 0

ATTRIBUTE_ONLY = ["Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"]
ALL = ["Sum", *ATTRIBUTE_ONLY]


def inputs(op: str) -> np.ndarray:
    return POSITIVE if op == "LogSum" else FAR


AXES = [[1], [-1], [0, 2], [2, 0], [-3, 1, 2]]

CASES = [
    # axes as an attribute
    *[
        Case(f"Reduce{op}", [inputs(op)], {"axes": axes, "keepdims": keep})
        for op in ATTRIBUTE_ONLY
        for axes in AXES
        for keep in (0, 1)
    ],
    *[Case(f"Reduce{op}", [inputs(op)], {"keepdims": keep}) for op in ALL for keep in (0, 1)],
    *[Case(f"Reduce{op}", [THIN], {"axes": [1], "keepdims": 0}) for op in ATTRIBUTE_ONLY],
    # axes as an input: constant, at run time, left out
    *[
        Case(
            f"Reduce{op}",
            [inputs(op), np.array(axes)],
            {"keepdims": keep},
            opset=opset,
            constant=[1],
            note=f"axes={axes},keepdims={keep}",
        )
        for op in ALL
        for axes in ([-2], [2, 0])
        for keep in (0, 1)
        for opset in ((17, 18) if op == "Sum" else (18, 20))
    ],
    *[
        Case(
            f"Reduce{op}",
            [inputs(op), np.array([0, -1])],
            {"keepdims": keep},
            opset=18,
            output_rank=3 if keep else 1,
            note=f"run-time axes,keepdims={keep}",
        )
        for op in ALL
        for keep in (0, 1)
    ],
    *[Case(f"Reduce{op}", [inputs(op)], {"keepdims": keep}, opset=18) for op in ALL for keep in (0, 1)],
    *[Case(f"Reduce{op}", [inputs(op)], {"noop_with_empty_axes": 1, "keepdims": 0}, opset=18) for op in ALL],
    *[
        Case(
            f"Reduce{op}", [inputs(op), np.array([], np.int64)], {"noop_with_empty_axes": noop}, opset=18, constant=[1]
        )
        for op in ALL
        for noop in (0, 1)
    ],
    *[Case("ReduceProd", [ZEROS], {"axes": axes}, note=f"zeros over {axes}") for axes in ([2], [1], [0, 1, 2])],
]
