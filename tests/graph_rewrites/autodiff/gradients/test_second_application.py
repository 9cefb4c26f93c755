"""Gradients can be differentiated again: what the rules emit has rules, and second derivatives are right."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.autodiff.decompose import can_decompose
from onnxplain.graph_rewrites.autodiff.reverse import GRADIENTS
from onnxplain.graph_rewrites.graph.node import used_tensors
from onnxplain.graph_rewrites.graph.operator_traits import key_of
from onnxplain.graph_rewrites.graph.reachability import tensors_between
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.vjp import append_vjp

from .harness import STEP, Case, signed_cotangent, some_of_each
from .test_gradients import CASES

# Central differences of what is rounded to float32 tell nothing.
ROUNDED = dict.fromkeys(("RMSNormalization", "LinearAttention"), "its function body computes in float32")


def once(case: Case) -> tuple[onnx.ModelProto, list[str], list[str]]:
    """The model with its gradients, the names of these, and those of the inputs to differentiate again by."""
    inputs = [f"x{i}" for i in case.differentiated]
    again = [f"x{i}" for i in case.differentiated if i not in case.constant]
    model = append_vjp(case.model(), f"y{case.of}", inputs)
    return model, [f"{name}_grad" for name in inputs], [f"y{case.of}_cotangent", *again]


def one_of_each_form() -> list[Case]:
    """One case of each operator, set of inputs and of attributes, output and opset."""
    forms = {
        (c.op, *(x is None for x in c.inputs), *sorted(c.attrs), c.outputs, c.of, *c.constant, c.opset): c
        for c in CASES
    }
    return list(forms.values())


@pytest.mark.parametrize("case", one_of_each_form(), ids=lambda case: case.name)
def test_what_a_rule_emits_has_rules(case: Case) -> None:
    model, grads, inputs = once(case)
    work = read(model)
    path = tensors_between(work.graph.nodes, inputs, grads)
    passed = [
        node
        for node in work.graph.nodes
        if any(t.name in path for t in node.outputs) and any(t.name in path for t in used_tensors(node))
    ]
    assert {key_of(n) for n in passed if key_of(n) not in GRADIENTS and not can_decompose(n, work.opset)} == set()


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("case", some_of_each(CASES), ids=lambda case: case.name)
def test_the_second_derivative_equals_the_difference_of_the_first(case: Case) -> None:
    if case.op in ROUNDED:
        pytest.skip(ROUNDED[case.op])
    model, grads, inputs = once(case)
    nodes = read(model).graph.nodes
    rng, feeds = np.random.default_rng(3), {**case.feeds(), f"y{case.of}_cotangent": signed_cotangent(case)}
    for grad in grads:
        wrt = [name for name in inputs if name in tensors_between(nodes, [name], [grad])]
        if not wrt:
            continue
        twice = append_vjp(model, grad, wrt)
        session, names = Float64Session(twice), [output.name for output in twice.graph.output][-len(wrt) :]
        (first,) = session.run([grad], feeds)
        cotangent = rng.normal(size=first.shape)
        for name, second in zip(wrt, session.run(names, {**feeds, f"{grad}_cotangent": cotangent}), strict=True):
            direction = rng.normal(size=second.shape)
            moved = [{**feeds, name: feeds[name] + sign * STEP * direction} for sign in (1, -1)]
            high, low = (session.run([grad], fed)[0] for fed in moved)
            slope, expected = np.sum((high - low) / (2 * STEP) * cotangent), np.sum(second * direction)
            # The difference is right to about 1e-16 / STEP of the first derivative.
            scale = np.sum(np.abs(second * direction)) + abs(slope) + 1e-2 * np.abs(first).max(initial=0) + 1e-6
            assert abs(slope - expected) <= 1e-6 * scale, f"d {grad} / d {name}: {expected} is not {slope}"
