"""The float64 runtime's sampling and attention against ONNX Runtime in float32, on the cases of their gradients."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from onnxplain.engine.gradcheck.float64.attention import ATTENTION
from onnxplain.engine.gradcheck.float64.sampling import SAMPLING

from ...graph_rewrites.autodiff.gradients import (
    cases_attention,
    cases_bodies,
    cases_causal_conv,
    cases_deform_conv,
    cases_grid_sample,
    cases_regions,
)
from ...graph_rewrites.autodiff.gradients.harness import Case, forward

FAMILIES = (*(cases_attention, cases_bodies, cases_causal_conv, cases_deform_conv, cases_grid_sample, cases_regions),)
CASES = [case for family in FAMILIES for case in family.CASES]
NEITHER_HAS_A_CASE = {"FlexAttention"}  # of the preview domain: the conformance tests evaluate it


@pytest.mark.parametrize("case", [c for c in CASES if not c.no_runtime], ids=lambda case: case.name)
def test_onnx_runtime_agrees(case: Case) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    model = case.model(np.float32).SerializeToString()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (expected,) = session.run([f"y{case.of}"], case.feeds(np.float32))
    actual = forward(case)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, atol=2e-5 * np.abs(expected[np.isfinite(expected)]).max(initial=1))


def test_every_replacement_has_a_case() -> None:
    replaced = {operator.__name__ for operator in (*SAMPLING, *ATTENTION)}
    assert replaced - {case.op for case in CASES} == NEITHER_HAS_A_CASE
