"""The registry of methods, and methods and backward rules of a user's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest
from onnxplain.engine.multi_pass.registry import MULTI_PASS
from onnxplain.graph_rewrites.autodiff.reverse import Gradient, Node
from onnxplain.graph_rewrites.backward_rules.registry import RULES, backward_rule
from onnxplain.graph_rewrites.build.emitter import Emitter
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError
from onnxplain.graph_rewrites.graph.tensors import Tensor
from onnxplain.graph_rewrites.maps.explained_tensor import ExplainedTensor
from onnxplain.graph_rewrites.maps.registry import METHODS, RESERVED, describe, find_method, method, reserve
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.rewrite import rewrite

from ..messages import assert_one_line
from ..networks import explain, images
from .replica import Replica, close, network

TARGET = [[0, 3], [4, 1]]
NAMED_BY_THE_CONTRACT = {
    *("grad-cam", "cam", "counterfactual", "grad-cam++", "xgrad-cam", "hires-cam", "layer-cam", "eigen-cam"),
    *("eigen-grad-cam", "full-grad", "gradient", "input-x-gradient", "guided-backprop", "deconvnet"),
    *("guided-grad-cam", "mwp", "c-mwp"),
}


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = [(registry, dict(registry)) for registry in (METHODS, RESERVED, RULES)]
    yield
    for registry, entries in before:
        registry.clear()
        registry.update(entries)


def test_every_method_of_the_contract_is_there_and_says_what_it_is() -> None:
    assert set(METHODS) == NAMED_BY_THE_CONTRACT
    for name, how in METHODS.items():
        assert how.name == name
        assert how.rules in RULES
        assert how.build.__doc__


@pytest.mark.parametrize("name", ["grad-cam", *MULTI_PASS])
def test_a_name_is_registered_once(name: str) -> None:
    with pytest.raises(ValueError, match=f"a method named '{name}' is registered already"):
        method(name)(lambda layer: layer.activation)


@pytest.mark.parametrize("name", MULTI_PASS)
def test_methods_of_many_runs_are_in_no_model(name: str) -> None:
    with pytest.raises(UsageError) as error:
        rewrite(network(), method=name)
    assert_one_line(error, f"method {name!r} runs a model many times, so no model holds it; use onnxplain.Explainer")


def test_a_name_is_kept_for_a_method_that_no_model_can_hold() -> None:
    reserve("test-kept", "is done by hand")
    with pytest.raises(UsageError) as error:
        rewrite(network(), method="test-kept")
    assert_one_line(error, "method 'test-kept' is done by hand")
    for name in ("test-kept", "grad-cam"):
        with pytest.raises(ValueError, match=f"a method named '{name}' is registered already"):
            reserve(name, "is another")


def test_an_unknown_method_names_the_closest_of_both_kinds() -> None:
    with pytest.raises(UsageError, match="unknown method 'occluson'; did you mean 'occlusion'"):
        find_method("occluson")
    with pytest.raises(UsageError, match="unknown method 'gradcam'; did you mean 'grad-cam'"):
        find_method("gradcam")


def test_defaults_are_described_as_users_write_them() -> None:
    assert [describe(value) for value in (True, False, "mean", 0.5)] == ["on", "off", "mean", "0.5"]


# --- of one's own ---


def test_a_method_at_a_layer_of_ones_own() -> None:
    @method("test-norm", rules="guided")
    def norm(
        layer: ExplainedTensor, *, side: Literal["gradient", "activation"] = "gradient", power: float = 1.0
    ) -> Tensor:
        """The channels' sum of magnitudes to a power."""
        values = layer.op.Abs(layer.gradient if side == "gradient" else layer.activation)
        return layer.op.reduce("ReduceSum", layer.op.Pow(values, power), [1])

    model = network()
    replica, feeds = Replica(model), images(model)
    explained = rewrite(model, method="test-norm", layers="relu1", options={"power": "2"})
    record = read_metadata(explained) or {}
    assert (record["method"], record["rules"], record["options"]) == ("test-norm", "guided", {"power": 2.0})
    got = explain(explained, feeds, TARGET)
    for n, image in enumerate(feeds["image"]):
        for k, target in enumerate(TARGET[n]):
            gradient = replica.backward(replica.forward(image), target, "guided")["relu1"]
            close(got["cam"][n, k], (gradient**2).sum(axis=0))
    with pytest.raises(UsageError, match="option 'side' of 'test-norm' is one of gradient, activation; not 'both'"):
        rewrite(model, method="test-norm", options={"side": "both"})


def test_methods_at_the_input_of_ones_own() -> None:
    @method("test-square", at="input")
    def square(image: ExplainedTensor) -> Tensor:
        return image.op.Mul(image.gradient, image.gradient)

    @method("test-both", at="both")
    def both(image: ExplainedTensor, layer: ExplainedTensor) -> Tensor:
        return image.op.Mul(image.gradient, layer.op.reduce("ReduceMax", layer.activation, [1, 2, 3]))

    @method("test-model", at="model")
    def at_pixels(image: ExplainedTensor) -> Tensor:
        return image.op.reduce("ReduceSum", image.activation, [1])

    model = network()
    replica, feeds = Replica(model), images(model)
    got = {name: explain(rewrite(model, method=name), feeds, TARGET) for name in METHODS if name.startswith("test-")}
    for n, image in enumerate(feeds["image"]):
        t = replica.forward(image)
        for k, target in enumerate(TARGET[n]):
            gradient = replica.backward(t, target)["image"]
            close(got["test-square"]["input_gradient"][n, k], gradient**2)
            close(got["test-both"]["input_gradient"][n, k], gradient * t["relu2"].max())
            close(got["test-model"]["cam"][n, k], image.sum(axis=0))


def test_a_rule_set_of_ones_own_by_name_and_as_a_methods_default() -> None:
    @backward_rule("test-half", "Relu")
    def half(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
        """Half the gradient, wherever the input lay."""
        return [op.Mul(grad, 0.5)]

    @method("test-halved", at="input", rules="test-half")
    def halved(image: ExplainedTensor) -> Tensor:
        return image.gradient

    model = network()
    feeds, replica = images(model), Replica(model)
    by_name = explain(rewrite(model, method="gradient", rules="test-half"), feeds, TARGET)["input_gradient"]
    by_default = explain(rewrite(model, method="test-halved"), feeds, TARGET)["input_gradient"]
    np.testing.assert_array_equal(by_name, by_default)
    # Two ReLUs that pass a half each: a quarter of the gradient of a network whose ReLUs are all open.
    for n, image in enumerate(feeds["image"]):
        t = replica.forward(image)
        opened = t | {"conv1": np.ones_like(t["conv1"]), "shifted": np.ones_like(t["shifted"])}
        for k, target in enumerate(TARGET[n]):
            close(by_name[n, k], replica.backward(opened, target)["image"] / 4)


def test_a_rule_set_of_ones_own_that_takes_no_operator_is_an_error() -> None:
    @backward_rule("test-tanh", "Tanh")
    def tanh(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
        return [grad]

    with pytest.raises(OnnxplainError) as error:
        rewrite(network(), method="gradient", rules="test-tanh")
    assert_one_line(error, "no operator that rules 'test-tanh' treat lies between 'image' and 'logits'")
