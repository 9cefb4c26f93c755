"""Gradients of float16 models through ONNX Runtime on the CPU, one case an operator, against those in float64."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from .harness import Case, gradients, runtime_gradients, signed_cotangent
from .test_gradients import CASES

# AffineGrid: ONNX Runtime 1.32 expands it in float16, by its function body, and fails inside of that.
ONE_EACH = {case.op: case for case in reversed(CASES) if not case.no_runtime and case.op != "AffineGrid"}
# ONNX Runtime 1.32's CPU provider cannot add in float16 when it scatters.
SCATTERS = [case for case in CASES if case.op in ("ScatterElements", "GatherND") and not case.no_runtime]


@pytest.mark.parametrize("case", [*ONE_EACH.values(), *SCATTERS], ids=lambda case: case.name)
def test_the_gradient_in_float16(case: Case) -> None:
    try:
        session = ort.InferenceSession(case.model(np.float16).SerializeToString(), providers=["CPUExecutionProvider"])
        session.run(None, case.feeds(np.float16))
    except Exception as error:
        pytest.skip(f"no kernel: {str(error)[:80]}")
    cotangent = signed_cotangent(case)
    expected = gradients(case, cotangent)
    for index, actual in runtime_gradients(case, cotangent, np.float16).items():
        scale = np.abs(expected[index]).max(initial=1e-3)
        np.testing.assert_allclose(actual / scale, expected[index] / scale, atol=3e-2)
