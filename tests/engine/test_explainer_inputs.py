"""Models that are more than one image in and one score out: further inputs, several layers, other scores."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain import Explainer, UsageError, rewrite

from ..graph_rewrites.networks import Net, images, run, small_cnn

RAW = "raw,scale=1/255"
PHOTO = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)


def with_question() -> onnx.ModelProto:
    """Image features times those of a question (3 words), then classes: as a network for visual questions."""
    net = Net(seed=7)
    image = net.input("image", ["N", 3, 8, 8])
    words = net.input("words", ["N", 3], TensorProto.INT64)
    maps = net.add("Relu", net.conv(image, 3, 6), out="maps")
    seen = net.add("Flatten", net.add("GlobalAveragePool", maps))
    asked = net.add("ReduceMean", net.add("Gather", net.random(10, 6), words, axis=0), axes=[1], keepdims=0)
    net.output(net.add("MatMul", net.add("Mul", seen, asked), net.random(6, 4), out="answers"), ["N", 4])
    return net.model()


def segmentation(image: str = "image") -> onnx.ModelProto:
    net = Net(seed=4)
    x = net.add("Relu", net.conv(net.input(image, ["N", 3, 8, 8]), 3, 4), out="features")
    net.output(net.add("Softmax", net.conv(x, 4, 3), axis=1, out="classes"), ["N", 3, 8, 8])
    return net.model()


def test_a_further_input_is_the_same_for_all_images_and_changes_the_map() -> None:
    explain = Explainer(with_question(), preprocess=RAW)
    first = explain([PHOTO, PHOTO], target=2, inputs={"words": np.array([1, 2, 3])})
    np.testing.assert_array_equal(first[0].heatmap, first[1].heatmap)
    other = explain(PHOTO, target=2, inputs={"words": np.array([[4, 5, 6]])})
    assert first[0].score != pytest.approx(other[0].score)
    feeds = {"image": (PHOTO.transpose(2, 0, 1)[None] / 255).astype(np.float32), "words": np.array([[1, 2, 3]])}
    np.testing.assert_allclose(first[0].cam, explain.run(feeds, 2)["cam"][0, 0], rtol=1e-5)


def test_missing_unknown_and_misshapen_inputs_are_named() -> None:
    explain = Explainer(with_question(), preprocess=RAW)
    for inputs, message in (
        (None, "lacks a value for .'words'."),
        ({"words": np.zeros(3), "mask": np.zeros(3)}, "has no input .'mask'."),
        ({"words": np.zeros((2, 3))}, "not .1, .... of 2 axes"),
    ):
        with pytest.raises(UsageError, match=message):
            explain(PHOTO, inputs=inputs)
    with pytest.raises(UsageError, match=r"missing: .'words'."):
        explain.run({"image": np.zeros((1, 3, 8, 8), np.float32)}, 0)


@pytest.mark.parametrize("method", ["occlusion", "ablation-cam", "integrated-gradients", "score-cam"])
def test_methods_of_many_runs_take_further_inputs(method: str) -> None:
    explainer = Explainer(with_question(), method=method, preprocess=RAW)
    maps = [explainer(PHOTO, 1, {"words": np.array(words)})[0].cam for words in ([1, 2, 3], [4, 5, 6])]
    assert np.abs(maps[0] - maps[1]).max() > 1e-6


def test_several_layers_give_an_explanation_each() -> None:
    model = small_cnn()
    found = Explainer(model, layers=["relu1", "relu2"], preprocess=RAW)(PHOTO, [0, 1])
    assert [(one.target, one.layer) for one in found] == [(0, "relu1"), (0, "relu2"), (1, "relu1"), (1, "relu2")]
    explained = rewrite(model, layers=["relu1", "relu2"], outputs=("score", "cam", "heatmap", "logits"))
    again = Explainer(explained, preprocess=RAW)(PHOTO, [0, 1])
    for one, other in zip(found, again, strict=True):
        np.testing.assert_allclose(one.heatmap, other.heatmap, atol=1e-6)


def test_a_mask_explains_the_classes_of_a_region() -> None:
    model = segmentation()
    mask = np.zeros((8, 8), np.float32)
    mask[1:3, 2:5] = 1
    explain = Explainer(model, score="masked(classes)", preprocess=RAW, layers="features", labels=["a", "b", "c"])
    (top,) = explain(PHOTO, inputs={"mask": mask})
    # The maximum over classes is the same before and after the softmax of means only by chance: compare logits.
    feeds = {"image": (PHOTO.transpose(2, 0, 1)[None] / 255).astype(np.float32)}
    with_logits = segmentation()
    with_logits.graph.output.append(onnx.helper.make_tensor_value_info("t2", TensorProto.FLOAT, ["N", 3, 8, 8]))
    means = run(with_logits, feeds)["t2"][0][:, mask == 1].mean(axis=1)
    assert top.target == int(means.argmax())
    assert top.label == "abc"[top.target]
    assert top.score == pytest.approx(float(means.max()), rel=1e-4)
    assert top.logits is None
    assert top.probability is None


def test_a_score_s_input_of_the_name_of_an_input_of_the_model() -> None:
    mask = np.eye(8, dtype=np.float32)
    expected, got = (
        Explainer(segmentation(name), score="masked(classes)", preprocess=RAW)(PHOTO, 1, {"mask": mask})[0]
        for name in ("image", "mask")
    )
    assert got.score == expected.score
    np.testing.assert_array_equal(got.heatmap, expected.heatmap)


def test_one_sigmoid_output_is_one_class() -> None:
    net = Net(seed=2)
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4))
    net.output(net.add("Sigmoid", net.head(x, 4, 1), out="probability"), ["N", 1])
    (one,) = Explainer(net.model(), preprocess=RAW)(PHOTO)
    assert one.target == 0
    assert one.probability == pytest.approx(1 / (1 + np.exp(-one.score)), rel=1e-5)


def test_raw_tensors_of_a_model_that_takes_no_photos() -> None:
    model = small_cnn(size=(32,))
    got = Explainer(model, method="occlusion", options={"size": 5, "stride": 3}).run(images(model, side=32), [0, 1])
    assert got["heatmap"].shape == (2, 2, 32)
    assert np.abs(got["heatmap"]).max() == pytest.approx(1)
    with pytest.raises(UsageError, match="takes no images"):
        Explainer(model)(PHOTO)
