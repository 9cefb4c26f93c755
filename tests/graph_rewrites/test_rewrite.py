"""Explained models: the contract, and Grad-CAM against replicas and numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnxplain.graph_rewrites.errors import UsageError
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.rewrite import rewrite

from .networks import ALL, Array, Net, described, explain, f32, images, names_of, run, small_cnn

# --- the contract ---


def test_the_contract_of_names_types_and_shapes() -> None:
    model = small_cnn()
    explained = rewrite(model, outputs=ALL)
    onnx.checker.check_model(explained, full_check=True)
    inputs, outputs = described(list(explained.graph.input)), described(list(explained.graph.output))
    k = inputs["target"][1][1]
    assert isinstance(k, str)
    assert inputs == {"image": (1, ["N", 3, 8, 8]), "target": (TensorProto.INT64, ["N", k])}
    assert outputs == {
        "logits": (1, ["N", 5]),
        "score": (1, ["N", k]),
        "activation": (1, ["N", 6, 4, 4]),
        "gradient": (1, ["N", k, 6, 4, 4]),
        "cam": (1, ["N", k, 4, 4]),
        "heatmap": (1, ["N", k, 8, 8]),
    }
    got = explain(explained, images(model), [[0, 1, -1], [2, -2, 3]])
    shapes = {"score": (2, 3), "activation": (2, 6, 4, 4), "gradient": (2, 3, 6, 4, 4), "cam": (2, 3, 4, 4)}
    for name, shape in (shapes | {"heatmap": (2, 3, 8, 8)}).items():
        assert got[name].shape == shape, name
        assert got[name].dtype == np.float32, name


def test_by_default_score_cam_and_heatmap_are_computed_and_nothing_else_stays() -> None:
    model = small_cnn()
    assert names_of(rewrite(model).graph.output) == ["logits", "score", "cam", "heatmap"]
    only_score = rewrite(model, outputs=["score"])
    assert names_of(only_score.graph.output) == ["logits", "score"]
    for operator in ("Resize", "Relu", "ReduceMean"):
        count = [sum(n.op_type == operator for n in m.graph.node) for m in (model, only_score)]
        assert count[0] == count[1], operator
    needed = {name for node in only_score.graph.node for name in node.input} | set(names_of(only_score.graph.output))
    assert all(set(node.output) & needed for node in only_score.graph.node)


def test_only_standard_operators_are_emitted() -> None:
    explained = rewrite(small_cnn(), outputs=ALL)
    assert {node.domain for node in explained.graph.node} == {""}
    assert len(explained.opset_import) == 1


def test_the_record_says_how_the_model_was_explained() -> None:
    record = read_metadata(rewrite(small_cnn(squash="Softmax"), layers="relu1", rules="guided"))
    assert record is not None
    assert record["method"] == "grad-cam"
    assert record["layers"] == ["relu1"]
    assert record["rules"] == "guided"
    assert record["score"]["output"] == "probabilities"
    assert record["score"]["logits"] == "logits"
    assert record["score"]["squashed_by"] == "Softmax"
    assert record["input"] == {"name": "image", "layout": "NCHW"}
    assert record["names"] == {name: name for name in ("target", "score", "cam", "heatmap")}


def test_clashing_names_are_prefixed_and_recorded() -> None:
    net = Net()
    x = net.input("target", ["N", 3, 8, 8])
    x = net.add("Relu", net.conv(x, 3, 4), out="cam", name="heatmap")
    x = net.head(x, 4, 5, out="score")
    net.output(x, ["N", 5])
    model = net.model()
    explained = rewrite(model, outputs=ALL)
    names = (read_metadata(explained) or {})["names"]
    assert names["target"] == "onnxplain_target"
    assert names["cam"] == "onnxplain_cam"
    assert names["score"] == "onnxplain_score"
    assert names["logits"] == "score"
    assert names["gradient"] == "gradient"
    feeds = images(model)
    raw = run(explained, {**feeds, "onnxplain_target": np.array([[1], [2]])})
    np.testing.assert_allclose(raw["score"], run(model, feeds)["score"], rtol=1e-6)
    np.testing.assert_allclose(raw["onnxplain_score"][:, 0], raw["score"][[0, 1], [1, 2]], rtol=1e-6)
    assert raw["onnxplain_cam"].shape == (2, 1, 8, 8)


def test_several_layers_have_their_name_in_their_outputs() -> None:
    model = small_cnn()
    explained = rewrite(model, layers=["relu1", "relu2"])
    assert names_of(explained.graph.output)[1:] == ["score", "cam@relu1", "heatmap@relu1", "cam@relu2", "heatmap@relu2"]
    got = explain(explained, images(model))
    for layer in ("relu1", "relu2"):
        alone = explain(rewrite(model, layers=layer), images(model))
        np.testing.assert_allclose(got[f"cam@{layer}"], alone["cam"], rtol=1e-4, atol=1e-6)


def test_a_layer_named_twice_counts_once_and_none_named_is_the_default() -> None:
    model = small_cnn()
    assert rewrite(model, layers=["relu1", "relu1"]) == rewrite(model, layers="relu1")
    assert rewrite(model, layers=[]) == rewrite(model)


def test_wrong_arguments_are_usage_errors_that_name_the_closest() -> None:
    for arguments, message in (
        ({"method": "gradcam"}, "unknown method 'gradcam'; did you mean 'grad-cam'"),
        ({"outputs": ["heat"]}, "unknown output 'heat'; did you mean 'heatmap'"),
        ({"layers": "relu_2"}, "no layer 'relu_2'; did you mean 'relu2'"),
        ({"score": "logit"}, "no output 'logit'; did you mean 'logits'"),
    ):
        with pytest.raises(UsageError) as error:
            rewrite(small_cnn(), **arguments)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_an_explained_model_is_not_explained_again() -> None:
    with pytest.raises(UsageError, match="is an explained model already; rewrite the original model"):
        rewrite(rewrite(small_cnn()))


# --- values ---


def replica_conv(x: Array, w: Array, b: Array) -> Array:
    """A 3x3 (or 1x1) convolution of one image [C, H, W] that keeps the size."""
    pad = w.shape[2] // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], axis=(1, 2))
    return np.asarray(np.einsum("chwij,ocij->ohw", windows, w) + b[:, None, None])


def replica_pool(x: Array) -> Array:
    """2x2 maxima."""
    c, h, w = x.shape
    return np.asarray(x.reshape(c, h // 2, 2, w // 2, 2).max(axis=(2, 4)))


class Replica:
    """`small_cnn` in float64: the layers up to a chosen one, and the head after it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        weights = [numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer]
        self.w1, self.b1, self.w2, self.b2, self.w3, self.b3 = weights

    def first(self, image: Array) -> Array:
        return np.asarray(np.maximum(replica_conv(image.astype(np.float64), self.w1, self.b1), 0))

    def second(self, relu1: Array) -> Array:
        return np.asarray(np.maximum(replica_conv(replica_pool(relu1), self.w2, self.b2), 0))

    def logits(self, relu2: Array) -> Array:
        return np.asarray(self.w3 @ relu2.mean(axis=(1, 2)) + self.b3)


def central_gradient(logits_of: Callable[[Array], Array], activation: Array, index: int, step: float = 1e-6) -> Array:
    """dy^c/dA entry by entry."""
    gradient = np.zeros_like(activation)
    for place in np.ndindex(*activation.shape):
        moved = activation.copy()
        moved[place] += step
        up = logits_of(moved)[index]
        moved[place] -= 2 * step
        gradient[place] = (up - logits_of(moved)[index]) / (2 * step)
    return gradient


@pytest.mark.parametrize("layer", ["relu1", "relu2"])
def test_grad_cam_equals_an_independent_replica(layer: str) -> None:
    model = small_cnn(seed=8)
    replica = Replica(model)
    feeds = images(model)
    target = [[3, 0], [1, 4]]
    got = explain(rewrite(model, layers=layer, outputs=ALL), feeds, target)
    for row, image in enumerate(feeds["image"]):
        relu1 = replica.first(image)
        relu2 = replica.second(relu1)
        logits = replica.logits(relu2)
        np.testing.assert_allclose(got["logits"][row], logits, rtol=1e-4, atol=1e-5)
        activation = relu1 if layer == "relu1" else relu2
        np.testing.assert_allclose(got["activation"][row], activation, rtol=1e-4, atol=1e-5)
        for k, index in enumerate(target[row]):

            def from_layer(a: Array) -> Array:
                return replica.logits(replica.second(a) if layer == "relu1" else a)

            # The exact zeros of a ReLU tie inside a pooling window and leave kinks; the mean judges their gradient.
            gradient = central_gradient(from_layer, activation, index)
            smooth = (activation > 1e-4) if layer == "relu1" else np.ones_like(activation, bool)
            np.testing.assert_allclose(got["gradient"][row, k][smooth], gradient[smooth], rtol=1e-3, atol=1e-5)
            alpha = got["gradient"][row, k].astype(np.float64).mean(axis=(1, 2))
            cam = np.maximum((alpha[:, None, None] * activation).sum(axis=0), 0)
            np.testing.assert_allclose(got["cam"][row, k], cam, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(got["score"][row, k], logits[index], rtol=1e-4, atol=1e-5)


def hand_net() -> onnx.ModelProto:
    """Two channels, the image and its negative, both rectified; classes: 2a - 16b and -2a + 16b, of means a and b."""
    net = Net()
    x = net.input("image", ["N", 1, 4, 4])
    x = net.add("Conv", x, net.const([[[[1.0]]], [[[-1.0]]]]), out="signs")
    x = net.add("Relu", x, out="layer")
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    net.output(net.add("MatMul", x, net.const([[2.0, -2.0], [-16.0, 16.0]]), out="logits"), ["N", 2])
    return net.model()


HAND_IMAGE = f32([[1, 2, 0, 0], [3, 4, 0, 0], [0, 0, -1, 0], [0, 0, 0, -2]])


def test_grad_cam_by_hand() -> None:
    """The image's positive part is the first channel A^0, minus its negative part the second, A^1.

    Means: a = (1+2+3+4)/16 = 0.625, b = (1+2)/16 = 0.1875. Scores: y0 = 2a - 16b = 1.25 - 3 = -1.75, y1 = 1.75.
    Gradients, constant over the map: dy0/dA^0 = 2/16 = 0.125, dy0/dA^1 = -16/16 = -1; y1 has the opposite signs.
    So alpha(y0) = (0.125, -1), and cam(y0) = ReLU(A^0/8 - A^1) is A^0/8 where the image is positive;
    alpha(y1) = (-0.125, 1), and cam(y1) = ReLU(A^1 - A^0/8) is A^1: 1 at (2, 2) and 2 at (3, 3).
    """
    got = explain(rewrite(hand_net(), outputs=ALL), {"image": HAND_IMAGE[None, None]}, [[0, 1]])
    np.testing.assert_array_equal(got["score"], [[-1.75, 1.75]])
    np.testing.assert_array_equal(got["gradient"][0, 0], np.broadcast_to([[[0.125]], [[-1]]], (2, 4, 4)))
    np.testing.assert_array_equal(got["gradient"][0, 1], np.broadcast_to([[[-0.125]], [[1]]], (2, 4, 4)))
    first = [[0.125, 0.25, 0, 0], [0.375, 0.5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    second = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 2]]
    np.testing.assert_array_equal(got["cam"], [[first, second]])
    # The map has the image's size: the heatmap is the cam over its maximum, 0.5 and 2.
    np.testing.assert_array_equal(got["heatmap"], [[np.array(first) * 2, np.array(second) / 2]])


def test_the_relu_is_on_the_map_and_not_on_the_gradients() -> None:
    """Where both channels are alive, the negative weight must lower the map: with |x| + x/2 in place of x and -x."""
    net = Net()
    x = net.input("image", ["N", 1, 2, 2])
    x = net.add("Conv", x, net.const([[[[1.0]]], [[[0.5]]]]), out="layer")
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    net.output(net.add("MatMul", x, net.const([[4.0], [-4.0]]), out="logits"), ["N", 1])
    got = explain(rewrite(net.model()), {"image": f32([[[[1, -2], [4, 0]]]])})
    np.testing.assert_array_equal(got["cam"], [[[[0.5, 0], [2, 0]]]])  # ReLU(1 x - 1 x/2)


def test_a_zero_map_gives_a_zero_heatmap() -> None:
    got = explain(rewrite(hand_net()), {"image": np.abs(HAND_IMAGE)[None, None]}, [[1, 0]])
    np.testing.assert_array_equal(got["cam"][0, 0], np.zeros((4, 4)))
    np.testing.assert_array_equal(got["heatmap"][0, 0], np.zeros((4, 4)))
    assert got["heatmap"][0, 1].max() == 1
    blank = explain(rewrite(hand_net()), {"image": np.zeros((2, 1, 4, 4), np.float32)}, [[0], [1]])
    np.testing.assert_array_equal(blank["heatmap"], np.zeros((2, 1, 4, 4)))


def test_cam_and_grad_cam_agree_on_global_pooling_and_one_linear_layer() -> None:
    """There Grad-CAM's weights are those of the linear layer over Z, the pixel count (Selvaraju 2017, section 3)."""
    model = small_cnn(seed=2)
    target = np.array([[0, 1, 2, 3, 4]] * 2)
    got = explain(rewrite(model, outputs=ALL), images(model), target)
    linear = numpy_helper.to_array(model.graph.initializer[4])  # [classes, channels]
    z = 4 * 4
    np.testing.assert_allclose(got["gradient"].mean(axis=(3, 4)), np.broadcast_to(linear / z, (2, 5, 6)), rtol=1e-5)
    cam = np.maximum(np.einsum("kc,nchw->nkhw", linear, got["activation"]), 0)
    peak = cam.max(axis=(2, 3), keepdims=True)
    normalised = got["cam"] / np.maximum(got["cam"].max(axis=(2, 3), keepdims=True), 1e-30)
    np.testing.assert_allclose(normalised, cam / np.maximum(peak, 1e-30), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (10, 6), (32, 20)])
def test_the_heatmap_is_the_map_resized_as_opencv_does_over_its_maximum(size: tuple[int, int]) -> None:
    model = small_cnn(size=("H", "W"))
    feeds = {"image": np.random.default_rng(0).normal(size=(2, 3, *size)).astype(np.float32)}
    got = explain(rewrite(model), feeds, [[0, 1], [2, 3]])
    assert got["cam"].shape == (2, 2, size[0] // 2, size[1] // 2)
    assert got["heatmap"].shape == (2, 2, *size)
    for cam, heatmap in zip(
        got["cam"].reshape(4, *got["cam"].shape[2:]), got["heatmap"].reshape(4, *size), strict=True
    ):
        large = cv2.resize(cam, size[::-1], interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(heatmap, large / (large.max() or 1), rtol=1e-4, atol=1e-5)
        assert heatmap.min() >= 0
