"""Cases for `gradients/linear.py`."""

import numpy as np

from .harness import Case

rng = np.random.default_rng(2)


def array(*shape: int) -> np.ndarray:
    return rng.normal(size=shape)


SHAPES = [
    ((4,), (4,)),
    ((4,), (4, 3)),
    ((4,), (2, 4, 3)),
    ((2, 4), (4,)),
    ((5, 2, 4), (4,)),
    ((5, 6, 2, 4), (4,)),
    ((2, 4), (4, 3)),
    ((5, 2, 4), (4, 3)),
    ((5, 6, 2, 4), (4, 3)),
    ((2, 4), (5, 4, 3)),
    ((5, 2, 4), (5, 4, 3)),
    ((5, 1, 2, 4), (6, 4, 3)),
    ((1, 2, 4), (5, 4, 3)),
    ((5, 2, 4), (1, 4, 3)),
    ((5, 6, 2, 4), (5, 6, 4, 3)),
    ((1, 1), (1, 1)),
]

CASES = [
    *[Case("MatMul", [array(*a), array(*b)]) for a, b in SHAPES],
    Case("MatMul", [array(5, 2, 4), array(4, 3)], constant=[1], note="constant weight"),
    *[
        Case(
            "Gemm",
            [array(*((4, 2) if ta else (2, 4))), array(*((3, 4) if tb else (4, 3))), array(3)],
            {"transA": ta, "transB": tb, "alpha": 0.5, "beta": 2.0},
        )
        for ta in (0, 1)
        for tb in (0, 1)
    ],
    *[Case("Gemm", [array(2, 4), array(4, 3), array(*c)]) for c in [(2, 3), (1, 3), (2, 1), (1,), ()]],
    Case("Gemm", [array(2, 4), array(4, 3)]),
    Case("Gemm", [array(2, 4), array(3, 4), array(3)], {"transB": 1}, constant=[1, 2], note="constant weight"),
]
