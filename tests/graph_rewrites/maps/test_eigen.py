"""Principal components against numpy's singular value decomposition."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxplain.graph_rewrites.rewrite import rewrite

from ..networks import Array, Net, explain, f32, images
from .replica import close, upsampled


def net_of(channels: int, size: list[int | str], relu: bool = True) -> onnx.ModelProto:
    """`image` [N, 2, *size] to `layer` [N, channels, *size] of which a linear layer makes 3 scores."""
    net = Net(seed=3)
    x = net.conv(net.input("image", ["N", 2, *size]), 2, channels)
    x = net.add("Relu" if relu else "Tanh", x, out="layer")
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    net.output(net.head(x, channels, 3), ["N", 3])
    return net.model()


def projection(maps: Array, towards: Array, centre: bool) -> Array:
    """[C, h, w] on the first right singular vector of [positions, C], along with a sum over channels; then ReLU."""
    flat = maps.astype(np.float64).reshape(len(maps), -1).T
    summed = towards.astype(np.float64).sum(axis=0).ravel()
    if centre:
        flat = flat - flat.mean(axis=0)
    *_, v = np.linalg.svd(flat, full_matrices=False)
    projected = flat @ v[0]
    return np.asarray(np.maximum(projected * (1 if projected @ summed >= 0 else -1), 0).reshape(maps.shape[1:]))


@pytest.mark.parametrize("centre", [False, True], ids=["plain", "centred"])
@pytest.mark.parametrize("method", ["eigen-cam", "eigen-grad-cam"])
@pytest.mark.parametrize(
    ("channels", "size", "relu"),
    [(5, [4, 6], True), (40, [4, 4], True), (5, ["H", "W"], True), (40, ["H", 4], False), (7, [4, 4], False)],
    ids=["fewer channels", "fewer positions", "open sizes", "one open size", "signed"],
)
def test_maps_are_projections_on_the_first_singular_vector(
    method: str, centre: bool, channels: int, size: list[int | str], relu: bool
) -> None:
    model = net_of(channels, size, relu)
    feeds = images(model, side=4)
    explained = rewrite(model, method=method, layers="layer", options={"centre": centre}, outputs=("cam", "heatmap"))
    got = explain(explained, feeds, [[0, 1], [2, 0]])
    known = explain(rewrite(model, layers="layer", outputs=("activation", "gradient")), feeds, [[0, 1], [2, 0]])
    for n in range(2):
        for k in range(2):
            activation, evidence = known["activation"][n], known["activation"][n] * known["gradient"][n, k]
            by_class = method == "eigen-grad-cam"
            expected = projection(*(evidence,) * 2 if by_class else (activation, np.abs(activation)), centre)
            close(got["cam"][n, k], expected)
            close(got["heatmap"][n, k], upsampled(expected, got["heatmap"].shape[2:]))


def hand_cam(image: Array, method: str = "eigen-cam", target: int = 0, centre: bool = False) -> Array:
    """The layer is the image of two channels; y0 sums it up, y1 is its first channel less its second."""
    net = Net()
    x = net.add("Conv", net.input("image", ["N", 2, 2, 2]), net.const(np.eye(2)[:, :, None, None]), out="layer")
    weights = net.const([[1] * 8, [1] * 4 + [-1] * 4])
    net.output(net.add("Gemm", net.add("Flatten", x), weights, transB=1, out="logits"), ["N", 2])
    explained = rewrite(net.model(), method=method, options={"centre": centre})
    return explain(explained, {"image": f32(image)[None]}, [[target]])["cam"][0, 0]


P = np.array([[1.0, -2.0], [0.0, 2.0]])


def test_a_map_of_one_component_by_hand() -> None:
    """A = (3 P, 4 P) has the component (3, 4) / 5, on which it is 5 P; it goes along with the sum 7 P."""
    np.testing.assert_allclose(hand_cam(np.array([3 * P, 4 * P])), [[5, 0], [0, 10]], rtol=1e-6)


def test_the_sign_is_that_of_the_magnitude() -> None:
    """(3 P, -4 P) is 5 P on (3, -4) / 5, and P goes along with |P|; where all is negative, the map is not lost."""
    np.testing.assert_allclose(hand_cam(np.array([3 * P, -4 * P])), [[5, 0], [0, 10]], rtol=1e-6)
    np.testing.assert_allclose(hand_cam(-np.abs([3 * P, 4 * P])), [[5, 10], [0, 10]], rtol=1e-6)


def test_the_mean_is_subtracted_from_each_channel_if_asked() -> None:
    """Q = [[1, 0], [0, 2]] less its mean is [[0.25, -0.75], [-0.75, 1.25]]; times 5 as above."""
    q = np.maximum(P, 0)
    np.testing.assert_allclose(hand_cam(np.array([3 * q, 4 * q]), centre=True), [[1.25, 0], [0, 6.25]], rtol=1e-5)


def test_eigen_grad_cam_tells_classes_apart() -> None:
    """G A is (3 P, 4 P) for y0 and (3 P, -4 P) for y1."""
    maps = np.array([3 * P, 4 * P])
    np.testing.assert_allclose(hand_cam(maps, "eigen-grad-cam", 0), [[5, 0], [0, 10]], rtol=1e-6)
    np.testing.assert_allclose(hand_cam(maps, "eigen-grad-cam", 1), [[0, 10], [0, 0]], rtol=1e-6)


def test_no_activation_gives_a_zero_map() -> None:
    np.testing.assert_array_equal(hand_cam(np.zeros((2, 2, 2))), np.zeros((2, 2)))


def test_activations_of_any_size_give_the_same_map() -> None:
    """The powers of the Gram matrix neither overflow nor vanish."""
    for factor in (1e-12, 1e12):
        cam = hand_cam(factor * np.array([3 * P, 4 * P]))
        np.testing.assert_allclose(cam / factor, [[5, 0], [0, 10]], rtol=1e-5)
