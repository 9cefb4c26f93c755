from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.model.weight_randomisation import randomised

from ..networks import Net

SIZES = {"first": (64, 3, 3, 3), "second": (64, 64, 3, 3), "last": (64, 30)}


def network() -> onnx.ModelProto:
    net = Net()
    image = net.input("image", ["N", 3, 8, 8])
    weights = {name: net.random(*size, name=name) for name, size in SIZES.items()}
    one = net.add("Conv", image, weights["first"], net.const(np.ones(64), name="bias"), pads=[1, 1, 1, 1])
    two = net.add("Conv", net.add("Relu", one), weights["second"])
    flat = net.add("Flatten", net.add("GlobalAveragePool", two))
    net.output(net.add("MatMul", flat, weights["last"], out="scores"), ["N", 30])
    return net.model()


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


@pytest.mark.parametrize(("share", "changed"), [(0.1, 1), (1 / 3, 1), (2 / 3, 2), (1, 3)])
def test_the_last_layers_are_drawn_anew_with_their_own_mean_and_deviation(share: float, changed: int) -> None:
    model = network()
    before, after = weights(model), weights(randomised(model, share))
    differing = [name for name in before if (before[name] != after[name]).any()]
    assert sorted(differing) == sorted(["last", "second", "first"][:changed])
    assert weights(model)["last"].tobytes() == before["last"].tobytes()
    for name in differing:
        assert after[name].dtype == np.float32
        assert after[name].std() == pytest.approx(before[name].std(), rel=0.1)
        assert abs(np.corrcoef(before[name].ravel(), after[name].ravel())[0, 1]) < 0.15
    np.testing.assert_array_equal(weights(randomised(model, share))["last"], after["last"])
    assert (weights(randomised(model, share, seed=1))["last"] != after["last"]).all()


def test_a_model_without_weights_is_refused() -> None:
    net = Net()
    net.output(net.add("Relu", net.input("x", [1, 3]), out="y"), [1, 3])
    model = net.model()
    with pytest.raises(OnnxplainError, match="no layer with weights of type float"):
        randomised(model)
