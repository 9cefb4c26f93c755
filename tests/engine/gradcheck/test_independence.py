"""Images and classes explained together against each alone: what passes, and what must fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnxplain.engine.gradcheck.certificate import certify
from onnxplain.engine.gradcheck.independence import classes_apart, finite, images_apart
from onnxplain.engine.runtime.runner import Runner
from onnxplain.graph_rewrites.rewrite import rewrite

from ...graph_rewrites.networks import Net, images, small_cnn

EXPLAINED = rewrite(small_cnn(), outputs=("score", "cam"))
TOP = np.array([[1], [2]])


class Touching(Runner):
    """A model in which a part of what one image, or one class, gets comes from another."""

    axis = 0

    def run(self, inputs: dict[str, np.ndarray], target: Any) -> dict[str, np.ndarray]:
        found = super().run(inputs, target)
        return {**found, "score": found["score"] + 1e-3 * found["score"].sum(axis=self.axis, keepdims=True)}


class TouchingClasses(Touching):
    axis = 1


class Overflowing(Runner):
    def run(self, inputs: dict[str, np.ndarray], target: Any) -> dict[str, np.ndarray]:
        found = super().run(inputs, target)
        return {**found, "cam": found["cam"] / np.zeros(1, np.float32)}


class Ordered(Runner):
    """A model whose first row is another than the rest."""

    def run(self, inputs: dict[str, np.ndarray], target: Any) -> dict[str, np.ndarray]:
        found = super().run(inputs, target)
        return {
            **found,
            "cam": found["cam"] * np.linspace(1, 1.01, len(found["cam"]), dtype=np.float32)[:, None, None, None],
        }


@pytest.mark.parametrize(
    ("runner", "failed"),
    [
        (Runner, set()),
        (Touching, {"images apart"}),
        (Ordered, {"images apart"}),
        (TouchingClasses, {"classes apart"}),
    ],
)
def test_what_touches_another_fails(runner: type[Runner], failed: set[str]) -> None:
    ran, feeds = runner(EXPLAINED), images(small_cnn())
    compared = (ran, feeds, TOP, ran.run(feeds, TOP), 0.0)
    findings = [images_apart(*compared), classes_apart(*compared)]
    assert {finding.name for finding in findings if not finding.passed} == failed


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_maps_that_are_not_finite_fail() -> None:
    finding = finite(Overflowing(EXPLAINED).run(images(small_cnn()), TOP))
    assert (finding.passed, finding.detail) == (False, "not finite: cam")


def test_a_single_image_is_not_checked() -> None:
    ran, feeds = Runner(EXPLAINED), images(small_cnn(), 1)
    finding = images_apart(ran, feeds, TOP[:1], ran.run(feeds, TOP[:1]), 0.0)
    assert finding.passed is None


@pytest.mark.parametrize("length", ["K", 5])
def test_an_open_further_input_gets_the_size_that_it_meets(length: int | str) -> None:
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="features")
    scores = net.add("MatMul", net.add("ReduceMean", x, axes=[2, 3], keepdims=0), net.random(4, 5))
    net.output(net.add("Mul", scores, net.input("scale", [length]), out="out"), ["N", 5])
    assert certify(net.model(), side=8).passed
