"""The certificate, and that it catches what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxplain.engine.gradcheck.certificate import certify
from onnxplain.engine.gradcheck.differences import DifferenceCheck
from onnxplain.engine.gradcheck.finding import Finding
from onnxplain.graph_rewrites.autodiff.reverse import GRADIENTS

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def light_model(name: str) -> onnx.ModelProto:
    """One of the weightless models that come with onnx, its constant weights replaced by seeded random ones."""
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    rng = np.random.default_rng(0)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == node.input[0])
        fan_in = max(int(np.prod(shape[1:])), 1)
        values = rng.normal(size=shape) * np.sqrt(2 / fan_in) if len(shape) > 1 else rng.uniform(0.5, 1.5, size=shape)
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
    assert shapes
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


def test_the_embedded_model_is_certified(efficientnet: Path) -> None:
    certificate = certify(efficientnet)
    assert certificate.passed, certificate.findings
    assert {finding.name for finding in certificate.findings} >= {"layer gradient", "input gradient"}


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_models_of_the_onnx_package_are_certified(name: str) -> None:
    certificate = certify(light_model(name))
    assert certificate.passed, certificate.findings


def test_a_wrong_rule_fails_the_certificate(monkeypatch: pytest.MonkeyPatch, efficientnet: Path) -> None:
    right = GRADIENTS["GlobalAveragePool"]
    monkeypatch.setitem(GRADIENTS, "GlobalAveragePool", lambda op, node, grad: [op.Mul(right(op, node, grad)[0], 1.01)])
    failed = {finding.name for finding in certify(efficientnet).findings if not finding.passed}
    assert failed == {"layer gradient", "input gradient"}


@pytest.mark.parametrize(("spoiled", "passes"), [({0}, True), ({0, 1}, False), ({0, 2}, False)])
def test_one_place_beside_a_jump_is_not_held_against_a_gradient(
    efficientnet: Path, monkeypatch: pytest.MonkeyPatch, spoiled: set[int], passes: bool
) -> None:
    """But two are: a gradient passes where both places beside agree."""
    right, calls = DifferenceCheck._along_one, iter(range(100))

    def along(self: DifferenceCheck, gradient: str, *arguments: Any) -> Finding:
        found = right(self, gradient, *arguments)
        return replace(found, passed=False) if gradient == "layer_gradient" and next(calls) in spoiled else found

    monkeypatch.setattr(DifferenceCheck, "_along_one", along)
    assert certify(efficientnet).passed == passes
