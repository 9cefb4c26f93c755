"""Every gradient rule against central differences in float64, and in float32 through ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnxplain.graph_rewrites.autodiff.reverse import GRADIENTS

from . import (
    cases_activations,
    cases_attention,
    cases_bodies,
    cases_causal_conv,
    cases_convolution,
    cases_cumulative,
    cases_deform_conv,
    cases_determinant,
    cases_einsum,
    cases_elementwise,
    cases_grid_sample,
    cases_indexing,
    cases_linear,
    cases_losses,
    cases_normalisation,
    cases_other_domains,
    cases_pooling,
    cases_recurrent,
    cases_reductions,
    cases_regions,
    cases_resize,
    cases_scatter,
    cases_selection,
    cases_shape,
    cases_spectral,
    cases_unpooling,
)
from .harness import Case, assert_gradient, gradients, runtime_gradients, signed_cotangent

# These, like If, Loop and Scan, are in files of their own: test_run_time_sequences.py and test_control_flow.py.
SEQUENCES = {
    *("ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceErase", "SequenceInsert", "SplitToSequence"),
}
CASES: list[Case] = [
    *cases_activations.CASES,
    *cases_attention.CASES,
    *cases_bodies.CASES,
    *cases_causal_conv.CASES,
    *cases_convolution.CASES,
    *cases_cumulative.CASES,
    *cases_deform_conv.CASES,
    *cases_determinant.CASES,
    *cases_einsum.CASES,
    *cases_elementwise.CASES,
    *cases_grid_sample.CASES,
    *cases_indexing.CASES,
    *cases_linear.CASES,
    *cases_losses.CASES,
    *cases_normalisation.CASES,
    *cases_other_domains.CASES,
    *cases_pooling.CASES,
    *cases_recurrent.CASES,
    *cases_reductions.CASES,
    *cases_regions.CASES,
    *cases_resize.CASES,
    *cases_scatter.CASES,
    *cases_selection.CASES,
    *cases_shape.CASES,
    *cases_spectral.CASES,
    *cases_unpooling.CASES,
]

# Under test in test_quantisation.py.
QUANTISERS = {
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
    *("com.microsoft::QuantizeLinear", "com.microsoft::DequantizeLinear"),
}


@pytest.mark.parametrize("symbolic", [False, True], ids=["static", "symbolic"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gradient_equals_the_central_difference(case: Case, symbolic: bool) -> None:
    cotangent = signed_cotangent(case)
    assert_gradient(case, gradients(case, cotangent, symbolic), cotangent)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_onnx_runtime_computes_the_same_gradient(case: Case) -> None:
    if case.no_runtime:
        pytest.skip(case.no_runtime)
    cotangent = signed_cotangent(case)
    expected = gradients(case, cotangent)
    for index, actual in runtime_gradients(case, cotangent).items():
        scale = np.abs(expected[index]).max(initial=1e-6)
        np.testing.assert_allclose(actual / scale, expected[index] / scale, atol=2e-5)


def test_every_rule_has_a_case() -> None:
    cases = {f"{c.domain}::{c.op}" if c.domain else c.op for c in CASES}
    assert set(GRADIENTS) - cases == {"If", "Loop", "Scan"} | SEQUENCES | QUANTISERS


@pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case.name)
def test_a_rule_wrong_by_half_a_thousandth_is_caught(case: Case) -> None:
    cotangent = signed_cotangent(case)
    wrong = {index: grad * 1.0005 for index, grad in gradients(case, cotangent).items()}
    with pytest.raises(AssertionError):
        assert_gradient(case, wrong, cotangent)
