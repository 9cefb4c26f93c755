"""SmoothGrad and Integrated Gradients against means of gradients taken one by one."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxplain import Explainer, UsageError

from ...graph_rewrites.networks import Net, images, small_cnn
from .replica import Replica


def smooth_net() -> onnx.ModelProto:
    """y = sum of x^3 per sample: its gradient is 3 x^2."""
    net = Net()
    x = net.input("image", ["N", 1, 2, 3])
    cube = net.add("Mul", net.add("Mul", x, x), x)
    net.output(net.add("ReduceSum", cube, net.const([1, 2, 3], np.int64), keepdims=0, out="y"), ["N"])
    return net.model()


def test_smooth_grad_is_the_mean_of_noisy_gradients() -> None:
    """Of 3 x^2 under noise of deviation s the mean is 3 (x^2 + s^2)."""
    image = np.array([[[[0, 1, 2], [-1, 0.5, 1]]]], np.float32)
    explainer = Explainer(smooth_net(), method="smooth-grad", options={"samples": 20000, "noise": 0.1})
    got = explainer.run({"image": image}, 0)
    np.testing.assert_allclose(got["input_gradient"][0, 0], 3 * (image[0] ** 2 + 0.3**2), atol=0.05)
    again = explainer.run({"image": image}, 0)
    np.testing.assert_array_equal(got["input_gradient"], again["input_gradient"])
    other = Explainer(smooth_net(), method="smooth-grad", options={"samples": 20, "seed": 1}).run({"image": image}, 0)
    assert np.abs(other["input_gradient"] - got["input_gradient"]).max() > 1e-3


def test_smooth_grad_without_noise_is_the_gradient() -> None:
    model = small_cnn(seed=3)
    feeds = images(model)
    got = Explainer(model, method="smooth-grad", options={"samples": 3, "noise": 0}).run(feeds, [0, 4])
    plain = Explainer(model, method="gradient").run(feeds, [0, 4])
    np.testing.assert_allclose(got["input_gradient"], plain["input_gradient"], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(got["heatmap"], plain["heatmap"], rtol=1e-4, atol=1e-6)


def test_integrated_gradients_of_a_cube_are_exact() -> None:
    """From 0, x times the integral of 3 (t x)^2 dt is x^3, for which two Gauss-Legendre points are enough."""
    image = np.array([[[[0, 1, 2], [-1, 0.5, 1]]]], np.float32)
    got = Explainer(smooth_net(), method="integrated-gradients", options={"steps": 2}).run({"image": image}, 0)
    np.testing.assert_allclose(got["input_gradient"][0, 0], image[0] ** 3, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["score_difference"], [[(image**3).sum()]], rtol=1e-6)
    np.testing.assert_allclose(got["completeness_gap"], [[0]], atol=1e-5)


@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_integrated_gradients_equal_a_replica_and_add_up(baseline: str) -> None:
    model = small_cnn(seed=6)
    replica, feeds = Replica(model), images(model, n=1)
    image = feeds["image"][0].astype(np.float64)
    start = np.zeros_like(image) if baseline == "zero" else image * 0 + image.mean(axis=(1, 2), keepdims=True)
    options = {"steps": 16, "baseline": baseline}
    got = Explainer(model, method="integrated-gradients", options=options).run(feeds, 3)
    places, weights = np.polynomial.legendre.leggauss(16)
    gradients = [replica.gradient(start + (place + 1) / 2 * (image - start), 3) for place in places]
    expected = (image - start) * np.tensordot(weights / 2, gradients, axes=1)
    # Single kinks may fall on other sides in float32: the sum tells.
    error = np.linalg.norm(got["input_gradient"][0, 0] - expected) / np.linalg.norm(expected)
    assert error < 1e-3
    gap = expected.sum() - (replica.logits(image) - replica.logits(start))[3]
    np.testing.assert_allclose(got["completeness_gap"][0, 0], gap, atol=1e-3)
    fine = Explainer(model, method="integrated-gradients", options=options | {"steps": 500}).run(feeds, 3)
    assert abs(fine["completeness_gap"][0, 0]) < 0.01 * abs(fine["score_difference"][0, 0])


def test_inputs_of_whole_numbers_and_senseless_options_are_refused() -> None:
    net = Net()
    x = net.add("Cast", net.input("image", ["N", 2, 2, 1], onnx.TensorProto.UINT8), to=1)
    net.output(net.add("ReduceMean", x, axes=[1, 2], keepdims=0, out="y"), ["N", 1])
    feeds = {"image": np.zeros((1, 2, 2, 1), np.uint8)}
    for method in ("smooth-grad", "integrated-gradients"):
        with pytest.raises(UsageError, match="whole numbers"):
            Explainer(net.model(), method=method).run(feeds, 0)
    with pytest.raises(UsageError, match="at least one step"):
        Explainer(smooth_net(), method="integrated-gradients", options={"steps": 0}).run(images(smooth_net()), 0)
    with pytest.raises(UsageError, match="at least one sample"):
        Explainer(smooth_net(), method="smooth-grad", options={"noise": -1}).run(images(smooth_net()), 0)
