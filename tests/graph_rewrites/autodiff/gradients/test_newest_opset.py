"""The rules emit what every opset from 17 to the newest has: each operator's cases at the newest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from .harness import Case, assert_gradient, gradients, signed_cotangent, some_of_each
from .test_gradients import CASES

NEWEST = onnx.defs.onnx_opset_version()


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("case", some_of_each([c for c in CASES if not c.domain]), ids=lambda case: case.name)
def test_a_rule_holds_at_the_newest_opset(case: Case) -> None:
    case = replace(case, opset=NEWEST)
    try:
        onnx.checker.check_model(case.model())
    except onnx.checker.ValidationError as error:
        pytest.skip(f"no longer valid: {str(error).splitlines()[0]}")
    if case.op == "GroupNormalization" and np.asarray(case.inputs[0]).shape[1] != np.asarray(case.inputs[1]).size:
        pytest.skip("no longer valid: scale and bias have one element a channel since opset 21")
    cotangent = signed_cotangent(case)
    assert_gradient(case, gradients(case, cotangent, symbolic=True), cotangent)
