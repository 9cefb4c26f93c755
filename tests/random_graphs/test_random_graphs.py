"""Gradients of random graphs. A fresh seed by hand: `python -m tests.random_graphs SEED`."""

from __future__ import annotations

import warnings

import pytest
from onnxplain.graph_rewrites.autodiff.reverse import GRADIENTS

from .check import fault, report
from .generator import random_graph

COUNT, GROUP = 200, 20


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("first", range(0, COUNT, GROUP))
def test_gradients_of_random_graphs_are_right(first: int) -> None:
    for seed in range(first, first + GROUP):
        graph = random_graph(seed)
        if fault(graph):
            pytest.fail(report(graph))


def test_a_wrong_gradient_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a rule for Tanh that is wrong by a hundredth, the smallest graph has Tanh alone."""
    right = GRADIENTS["Tanh"]
    monkeypatch.setitem(GRADIENTS, "Tanh", lambda op, node, grad: [op.Mul(g, 1.01) for g in right(op, node, grad)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graphs = (random_graph(seed) for seed in range(40))
        text = report(next(graph for graph in graphs if fault(graph)))
    assert "float64" in text
    assert text.count("Tanh") == 1
    assert len(text.split("\n{\n")[1].splitlines()) <= 9
