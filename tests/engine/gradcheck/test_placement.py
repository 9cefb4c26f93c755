"""The check that a layer changes where its map is drawn: what passes, and what must fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnxplain.engine.gradcheck.certificate import certify
from onnxplain.engine.gradcheck.finding import Finding
from onnxplain.engine.gradcheck.placement import cells_of, placement
from onnxplain.engine.runtime.runner import Runner
from onnxplain.graph_rewrites.rewrite import rewrite

from ...graph_rewrites.networks import Net, images, small_cnn
from ...graph_rewrites.transformers import TokenNet, vit

SIDE = 48


def behind(*nodes: tuple[str, list[Any], dict[str, Any]]) -> onnx.ModelProto:
    """A small network behind nodes (operator, constants, attributes) that move the pixels of `image`."""
    net = Net(seed=3)
    x = net.input("image", ["N", 3, SIDE, SIDE])
    for operator, constants, attributes in nodes:
        x = net.add(operator, x, *(net.const(values, np.int64) for values in constants), **attributes)
    x = net.add("Relu", net.conv(x, 3, 8, strides=[2, 2]))
    x = net.add("Relu", net.conv(x, 8, 8, strides=[2, 2]), out="layer")
    net.output(net.head(x, 8, 5), ["N", 5])
    return net.model()


MOVED = {
    "cropped": behind(("Slice", [[4, 20], [28, 44], [2, 3]], {})),
    "mirrored": behind(("Slice", [[-1], [-1000], [3], [-1]], {})),
    "turned": behind(("Transpose", [], {"perm": [0, 1, 3, 2]})),
}


def found(model: onnx.ModelProto, runner: type[Runner] = Runner, drawn: bool = True, tokens: bool = False) -> Finding:
    """The finding on a model; where not `drawn`, as if its map covered the whole input evenly."""
    explained = rewrite(model, outputs=("score", "cam", "activation"))
    ran = runner(explained)
    record = ran.record if drawn else {**ran.record, "placements": {}}
    feeds, top = images(model, 1), np.array([[1]])
    activation = ran.run(feeds, top)["activation"]
    shapes = (feeds["image"].shape, activation.shape[2:])
    return placement(ran, feeds, top, activation, cells_of(record, record["layers"][0], (2, 3), *shapes, tokens))


@pytest.mark.parametrize("name", MOVED)
def test_a_layer_passes_where_it_is_drawn_and_fails_elsewhere(name: str) -> None:
    assert found(MOVED[name]).passed
    assert found(MOVED[name], drawn=False).passed is False


class RolledTokens(Runner):
    """Tokens that are one further than they are believed to be, as with a class token on the other side."""

    def run(self, inputs: dict[str, np.ndarray], target: Any) -> dict[str, np.ndarray]:
        result = super().run(inputs, target)
        maps = result["activation"]
        return {**result, "activation": np.roll(maps.reshape(*maps.shape[:2], -1), 1, axis=2).reshape(maps.shape)}


class ColumnsFirst(Runner):
    def run(self, inputs: dict[str, np.ndarray], target: Any) -> dict[str, np.ndarray]:
        result = super().run(inputs, target)
        return {**result, "activation": result["activation"].swapaxes(2, 3)}


def test_tokens_pass_in_their_order_and_fail_in_another() -> None:
    model = vit(1, size=(12, 12))
    assert found(model, tokens=True).passed
    for runner in (RolledTokens, ColumnsFirst):
        assert found(model, runner, tokens=True).passed is False


def test_a_layer_that_sees_nothing_fails() -> None:
    net = Net()
    x = net.input("image", ["N", 3, 16, 16])
    x = net.add("Relu", net.add("Sub", net.conv(x, 3, 4), net.const(1e6)), out="layer")
    net.output(net.head(x, 4, 5), ["N", 5])
    finding = found(net.model())
    assert finding.passed is False
    assert finding.detail == "16 of 16 blocks change nothing"


def test_two_cells_are_too_few_to_tell() -> None:
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4, strides=[4, 4]), out="layer")
    net.output(net.head(x, 4, 5), ["N", 5])
    finding = found(net.model())
    assert finding.passed is None
    assert finding.detail == "the layer has 2 x 2 cells"


def test_what_could_not_be_checked_is_in_the_certificate() -> None:
    certificate = certify(small_cnn(1))
    assert certificate.passed, certificate.findings
    (unchecked,) = (finding for finding in certificate.findings if finding.passed is None)
    assert (unchecked.name, unchecked.detail) == ("images apart", "the model takes one image at a time")


def test_the_certificate_of_tokens_in_a_wrong_order_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    net = TokenNet()
    x = net.with_extra(net.patches(net.input("image", ["N", 3, 12, 12])), 1)
    model = net.classify(net.norm(net.block(x, "block"), "norm"), "mean", "N")
    assert certify(model).passed
    monkeypatch.setattr("onnxplain.engine.gradcheck.certificate.Runner", RolledTokens)
    assert [finding.name for finding in certify(model).findings if finding.passed is False] == ["placement"]


@pytest.mark.parametrize("behind", [False, True], ids=["class token first", "class token last"])
def test_tokens_in_another_order_than_row_by_row_are_certified(behind: bool) -> None:
    net = TokenNet(seed=2)
    x = net.conv(net.input("image", ["N", 3, 12, 12]), 3, 8, 2, pads=[0] * 4, strides=[2, 2])
    x = net.add("Transpose", x, perm=[0, 3, 2, 1])  # columns before rows
    x = net.add("Reshape", x, net.const([-1, 36, 8], np.int64))
    if behind:
        token = net.add(
            "Expand",
            net.const(net.rng.normal(size=(1, 1, 8))),
            net.add("Shape", net.add("Slice", x, *(net.const([v], np.int64) for v in (0, 1, 1)))),
        )
        x = net.add("Concat", x, token, axis=1)
    x = net.add("Add", x, net.const(net.rng.normal(size=(1, 36 + behind, 8))))
    certificate = certify(net.classify(net.norm(net.block(x, "block"), "norm"), "mean", "N"))
    assert certificate.passed, certificate.findings
