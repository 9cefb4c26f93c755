"""Certificates of scores that are no plain output: what the score appends is differentiated and checked too."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxplain.engine.gradcheck.certificate import certify
from onnxplain.graph_rewrites.autodiff.reverse import GRADIENTS

from ...graph_rewrites.networks import Net


def model() -> onnx.ModelProto:
    """`segmentation` [N, 3, 8, 8] behind a softmax, and `boxes` [N, 7, 64]."""
    net = Net(seed=3)
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer")
    net.output(net.add("Softmax", net.conv(x, 4, 3), axis=1, out="segmentation"), ["N", 3, 8, 8])
    net.output(net.add("Reshape", net.conv(x, 4, 7), net.const([0, 7, 64], np.int64), out="boxes"), ["N", 7, 64])
    return net.model()


def joined() -> onnx.ModelProto:
    net = Net()
    flat = net.add("Flatten", net.input("boxes", ["N", 7, 64]))
    net.output(net.add("Gemm", net.add("Tanh", flat), net.random(448, 3), out="y"), ["N", 3])
    return net.model()


SCORES = {
    "one box": ("boxes[:, 4:, 17]", "Slice"),
    "the best box": ("max(boxes[:, 4:], axis=2)", "ReduceMax"),
    "one pixel": ("segmentation[:, :, 2, 5]", "Slice"),
    "a mask": ("masked(segmentation)", "Div"),
    "the predicted pixels": ("predicted(segmentation)", "Div"),
    "a mean": ("mean(segmentation, axis=(2, 3))", "ReduceMean"),
    "a likeness": ("similarity(boxes)", "Sqrt"),
    "a joined model": (joined(), "Tanh"),
}


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_certified_with_what_it_appends(name: str) -> None:
    score, operator = SCORES[name]
    certificate = certify(model(), layers="layer", score=score, side=8)
    assert certificate.passed, certificate.findings
    assert {finding.name for finding in certificate.findings} == {
        *("original outputs", "runtime gradient", "layer gradient", "input gradient"),
        *("finite", "images apart", "classes apart", "placement"),
    }
    for counts in (certificate.to_layer, certificate.to_input):
        assert operator in {key for key, _, _ in counts}
        assert all(how != "missing" for _, _, how in counts)
    assert certificate.layer == "layer"


def test_a_wrong_rule_for_an_operator_of_the_score_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    right = GRADIENTS["Tanh"]
    monkeypatch.setitem(GRADIENTS, "Tanh", lambda op, node, grad: [op.Mul(right(op, node, grad)[0], 1.01)])
    failed = {f.name for f in certify(model(), layers="layer", score=joined(), side=8).findings if not f.passed}
    assert failed == {"layer gradient", "input gradient"}
