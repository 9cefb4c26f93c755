"""Every decomposition of an operator of ONNX Runtime."""

from __future__ import annotations

import pytest
from onnxplain.graph_rewrites.autodiff.decompose import DECOMPOSITIONS

from . import cases, cases_attention, cases_quantised
from .harness import Case, check_gradient, check_values

CASES: list[Case] = [*cases.CASES, *cases_attention.CASES, *cases_quantised.CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_decomposition_computes_what_the_kernel_does(case: Case) -> None:
    if case.no_runtime:
        pytest.skip(case.no_runtime)
    check_values(case)


@pytest.mark.parametrize("symbolic", [False, True], ids=["static", "symbolic"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gradient_equals_the_central_difference(case: Case, symbolic: bool) -> None:
    check_gradient(case, symbolic)


def test_every_decomposition_has_a_case() -> None:
    named = {key.removeprefix("com.microsoft::") for key in DECOMPOSITIONS if key.startswith("com.microsoft::")}
    assert named - {case.op for case in CASES} == set()
