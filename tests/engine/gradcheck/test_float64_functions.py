"""Every replaced function of the float64 runtime against ONNX Runtime in float32, and against hand-written values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from onnxplain.engine.gradcheck.float64.functions import FUNCTIONS

from .test_float64 import check

rng = np.random.default_rng(0)
IMAGE = rng.normal(size=(2, 6, 3, 4))

CASES: list[tuple[str, list[np.ndarray], dict[str, Any], int]] = [
    ("Erf", [IMAGE], {}, 17),
    ("Erf", [np.array(0.5)], {}, 17),
    ("Gelu", [IMAGE], {}, 20),
    ("Gelu", [IMAGE], {"approximate": "tanh"}, 20),
    ("Softsign", [IMAGE], {}, 17),
    ("Softsign", [np.array(-0.5)], {}, 17),
    *[("LpNormalization", [IMAGE], {"p": p, "axis": axis}, 17) for p in (1, 2) for axis in (-1, 0, 1)],
    ("LpNormalization", [np.zeros((2, 3))], {}, 17),
    *[("LRN", [IMAGE], {"size": size, "alpha": 0.5, "beta": 0.6, "bias": 1.5}, 17) for size in (1, 3, 5, 9)],
    ("MeanVarianceNormalization", [IMAGE], {"axes": [0, 2, 3]}, 17),
    ("MeanVarianceNormalization", [IMAGE], {"axes": [-1]}, 17),
    *[
        ("GroupNormalization", [x, rng.normal(size=6), rng.normal(size=6)], {"num_groups": groups}, 21)
        for x in (IMAGE, IMAGE[..., 0])
        for groups in (1, 3, 6)
    ],
]


@pytest.mark.parametrize(("op", "inputs", "attrs", "opset"), CASES)
def test_onnx_runtime_agrees(op: str, inputs: list[np.ndarray], attrs: dict[str, Any], opset: int) -> None:
    check(op, inputs, attrs, opset=opset)


def test_every_function_has_a_case() -> None:
    assert {function.__name__ for function in FUNCTIONS} == {op for op, *_ in CASES}


def test_float64_is_kept() -> None:
    """The reference evaluator's own Erf rounds to float32, 5e-9 off at 0.5."""
    function = next(f for f in FUNCTIONS if f.__name__ == "Erf")
    assert function.eval(np.array([0.5]))[0] == math.erf(0.5)


@pytest.mark.parametrize(("size", "expected"), [(2, [1 / 5, 2 / 13, 3 / 9]), (4, [1 / 14, 2 / 14, 3 / 13])])
def test_lrn_of_an_even_size_looks_one_further_ahead(size: int, expected: list[float]) -> None:
    """ONNX Runtime takes odd sizes only."""
    function = next(f for f in FUNCTIONS if f.__name__ == "LRN")
    x = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)
    y = function.eval(x, alpha=float(size), beta=1.0, bias=0.0, size=size)
    np.testing.assert_allclose(y.ravel(), expected, rtol=1e-6)
