"""Occlusion against covering patches by hand."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import pytest
from onnxplain import Explainer, UsageError

from ...graph_rewrites.networks import Net, images, small_cnn
from .replica import Replica, bilinear

Array = np.ndarray


def fill_of(image: Array, fill: str) -> Array:
    if fill == "zero":
        return np.zeros_like(image)
    if fill == "mean":
        return np.broadcast_to(image.mean(axis=(1, 2), keepdims=True), image.shape)
    return np.stack([cv2.GaussianBlur(plane, (0, 0), 10) for plane in image])


@pytest.mark.parametrize("fill", ["mean", "zero", "blur"])
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (4, 1), (3, 2), (5, 3), (1, 4)])
def test_each_value_is_the_drop_with_one_patch_covered(size: int, stride: int, fill: str) -> None:
    model = small_cnn(seed=3)
    replica, feeds = Replica(model), images(model)
    options = {"size": size, "stride": stride, "fill": fill}
    got = Explainer(model, method="occlusion", options=options).run(feeds, [1, 4])
    for row, image in enumerate(feeds["image"].astype(np.float64)):
        cover, before = fill_of(image, fill), replica.logits(image)
        side = -(-8 // stride)
        expected = np.zeros((5, side, side))
        for i in range(side):
            for j in range(side):
                # The patch lies around the middle of the stride x stride pixels that the value stands for.
                y, x = (n * stride + (stride - 1) // 2 - (size - 1) // 2 for n in (i, j))
                rows, columns = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
                inside = (rows >= y) & (rows < y + size) & (columns >= x) & (columns < x + size)
                expected[:, i, j] = before - replica.logits(np.where(inside, cover, image))
        np.testing.assert_allclose(got["cam"][row], expected[[1, 4]], atol=2e-6)
        for k, index in enumerate((1, 4)):
            large = bilinear(expected[index], side * stride, side * stride)[:8, :8]
            np.testing.assert_allclose(got["heatmap"][row, k], large / np.abs(large).max(), atol=1e-4)


def test_decreases_and_increases_are_told_apart_by_hand() -> None:
    """y = 2 * (pixel at (0, 0)) - 3 * (pixel at (1, 1)): zeros there take 2 away and give 3 back."""
    net = Net()
    x = net.input("image", ["N", 1, 2, 2])
    weighed = net.add("Mul", x, net.const([[[[2.0, 0], [0, -3.0]]]]))
    net.output(net.add("ReduceSum", weighed, net.const([1, 2, 3], np.int64), keepdims=0, out="y"), ["N"])
    explainer = Explainer(net.model(), method="occlusion", options={"size": 1, "stride": 1, "fill": "zero"})
    got = explainer.run({"image": np.ones((1, 1, 2, 2), np.float32)}, 0)
    np.testing.assert_array_equal(got["cam"], [[[[2, 0], [0, -3]]]])
    np.testing.assert_allclose(got["heatmap"], [[[[2 / 3, 0], [0, -1]]]], rtol=1e-6)


def test_a_model_without_gradients_can_be_occluded() -> None:
    net = Net()
    x = net.input("image", ["N", 1, 4, 4])
    net.output(net.add("Flatten", net.add("Det", x), out="y"), ["N", 1])
    got = Explainer(net.model(), method="occlusion", options={"size": 1, "stride": 1, "fill": "zero"})
    feeds = {"image": np.eye(4, dtype=np.float32)[None, None]}
    np.testing.assert_allclose(got.run(feeds, 0)["cam"][0, 0], np.eye(4), atol=1e-6)


def test_a_fixed_batch_and_bytes_are_served() -> None:
    net = Net()
    x = net.add("Cast", net.input("image", [3, 1, 2, 2], onnx.TensorProto.UINT8), to=1)
    net.output(net.add("ReduceMean", x, axes=[2, 3], keepdims=0, out="y"), [3, 1])
    explainer = Explainer(net.model(), method="occlusion", options={"size": 1, "stride": 1})
    image = np.array([[[[4, 0], [0, 0]]]], np.uint8).repeat(2, axis=0)  # the mean is 1
    got = explainer.run({"image": image}, 0)
    np.testing.assert_allclose(got["cam"], [[[[0.75, -0.25], [-0.25, -0.25]]]] * 2)


@pytest.mark.parametrize("options", [{"size": -1}, {"stride": -2}, {"size": 17}, {"stride": 9}])
def test_patches_that_do_not_fit_are_refused(options: dict[str, int]) -> None:
    model = small_cnn()
    with pytest.raises(UsageError, match="does not fit an input of 8 x 8"):
        Explainer(model, method="occlusion", options={"size": 3, "stride": 1} | options).run(images(model), 0)
