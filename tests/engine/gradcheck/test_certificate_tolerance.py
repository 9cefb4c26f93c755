"""How small an error of a gradient rule the certificate catches, and how small a one it lets pass."""

from __future__ import annotations

from typing import Any

import pytest
from onnxplain.engine.gradcheck.certificate import certify
from onnxplain.graph_rewrites.autodiff.reverse import GRADIENTS

from ...graph_rewrites.networks import small_cnn

# Where the operator lies: behind the layer, whose gradient is then wrong too, or also before it.
RULES = {"GlobalAveragePool": {"layer gradient", "input gradient"}, "Conv": {"input gradient"}}


def spoil(monkeypatch: pytest.MonkeyPatch, op_type: str, factor: float) -> None:
    """Makes the gradient of the operator's first input too large by a factor."""
    right = GRADIENTS[op_type]

    def wrong(op: Any, node: Any, grad: Any) -> list[Any]:
        first, *others = right(op, node, grad)
        return [lambda: op.Mul(first() if callable(first) else first, factor), *others]

    monkeypatch.setitem(GRADIENTS, op_type, wrong)


def failed(seed: int) -> set[str]:
    return {finding.name for finding in certify(small_cnn(), seed=seed).findings if finding.passed is False}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("factor", [1.0005, 0.9995])
@pytest.mark.parametrize("op_type", RULES)
def test_an_error_of_half_a_thousandth_is_caught(
    monkeypatch: pytest.MonkeyPatch, op_type: str, factor: float, seed: int
) -> None:
    spoil(monkeypatch, op_type, factor)
    assert failed(seed) == RULES[op_type]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("factor", [1.00005, 1.0, 0.99995])
@pytest.mark.parametrize("op_type", RULES)
def test_a_tenth_of_that_is_within_the_tolerance(
    monkeypatch: pytest.MonkeyPatch, op_type: str, factor: float, seed: int
) -> None:
    spoil(monkeypatch, op_type, factor)
    assert failed(seed) == set()
