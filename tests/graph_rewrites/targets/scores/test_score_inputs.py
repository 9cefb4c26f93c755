"""Scores of segmentation, detection and embedding models, and those that need an input of their own."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.rewrite import layers, rewrite

from ...networks import Array, Net, described, explain, images, names_of, run

CLASSES = 3
TARGET = [[0, 2], [1, -1]]


def segmentation(squash: str | None = None, dtype: int = TensorProto.FLOAT, image: str = "image") -> onnx.ModelProto:
    """`layer` [N, 4, 8, 8] and `segmentation` [N, 3, 8, 8], perhaps behind a softmax."""
    kind = onnx.helper.tensor_dtype_to_np_dtype(dtype)
    net = Net(seed=8)
    x = net.input(image, ["N", 3, 8, 8], dtype)
    x = net.add("Conv", x, net.random(4, 3, 3, 3, dtype=kind), pads=[1] * 4)
    x = net.add("Relu", x, out="layer")
    x = net.add("Conv", x, net.random(CLASSES, 4, 1, 1, dtype=kind), out="logit_maps")
    net.output(net.add(squash or "Identity", x, out="segmentation", **({"axis": 1} if squash else {})), None, dtype)
    net.outputs[0].CopyFrom(onnx.helper.make_tensor_value_info("segmentation", dtype, ["N", CLASSES, 8, 8]))
    return net.model()


def logit_maps(model: onnx.ModelProto, feeds: dict[str, Array]) -> Array:
    """What is in front of the softmax."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.append(onnx.helper.make_tensor_value_info("logit_maps", TensorProto.FLOAT, ["N", CLASSES, 8, 8]))
    return run(shown, feeds)["logit_maps"].astype(np.float64)


MASK = np.random.default_rng(3).uniform(size=(2, 8, 8)).astype(np.float32)


def masked(maps: Array) -> Array:
    weights = MASK[:, None].astype(np.float64)
    return np.asarray((maps * weights).sum(axis=(2, 3)) / weights.sum(axis=(2, 3)))


def predicted(maps: Array) -> Array:
    winners = maps == maps.max(axis=1, keepdims=True)
    return np.asarray((maps * winners).sum(axis=(2, 3)) / np.maximum(winners.sum(axis=(2, 3)), 1))


def picked(scores: Array, target: list[list[int]]) -> Array:
    order = np.argsort(-scores, axis=1)
    return np.array(
        [[s[o[-1 - t] if t < 0 else t] for t in ts] for s, o, ts in zip(scores, order, target, strict=True)]
    )


@pytest.mark.parametrize("squash", [None, "Softmax", "LogSoftmax"])
def test_scores_over_pixels_are_those_before_a_softmax_of_the_same_shape(squash: str | None) -> None:
    model = segmentation(squash)
    feeds = images(model)
    maps = logit_maps(model, feeds)
    for text, scores, more in (
        ("masked(segmentation)", masked(maps), {"mask": MASK}),
        ("predicted(segmentation)", predicted(maps), {}),
        ("segmentation[:, :, 2, 5]", maps[:, :, 2, 5], {}),
        ("mean(segmentation, axis=(2, 3))", maps.mean(axis=(2, 3)), {}),
    ):
        explained = rewrite(model, layers="layer", score=text)
        assert names_of(explained.graph.input) == ["image", *more, "target"]
        got = explain(explained, feeds | more, TARGET)
        np.testing.assert_allclose(got["score"], picked(scores, TARGET), rtol=1e-4, atol=1e-5, err_msg=text)
        np.testing.assert_allclose(got["segmentation"], run(model, feeds)["segmentation"], rtol=1e-5, atol=1e-6)


def test_a_softmax_that_changes_the_shape_is_not_looked_through() -> None:
    model = segmentation("Softmax")
    model.graph.node[-1].output[0] = "probabilities"
    flat = onnx.helper.make_node("Flatten", ["probabilities"], ["segmentation"], axis=1)
    model.graph.node.append(flat)
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("segmentation", 1, ["N", CLASSES * 64]))
    feeds = images(model)
    got = explain(rewrite(model, layers="layer", score="segmentation[:, 2:5]"), feeds, [[0, 1], [2, 0]])
    plain = run(model, feeds)["segmentation"]
    np.testing.assert_allclose(got["score"], [plain[0, [2, 3]], plain[1, [4, 2]]], rtol=1e-5)


def test_the_gradient_under_a_mask_is_the_mask() -> None:
    """d/dA of the mean over the mask is the class's weights times the mask over its sum."""
    model, wanted = segmentation(), ["gradient", "cam", "score"]
    feeds = images(model)
    weights = onnx.numpy_helper.to_array(model.graph.initializer[1])[:, :, 0, 0]
    explained = rewrite(model, layers="layer", score="masked(segmentation)", outputs=wanted)
    got = explain(explained, feeds | {"mask": MASK}, [[0, 2], [1, 1]])
    share = MASK / MASK.sum(axis=(1, 2), keepdims=True)
    for n, k, c in ((0, 0, 0), (0, 1, 2), (1, 0, 1), (1, 1, 1)):
        np.testing.assert_allclose(got["gradient"][n, k], weights[c][:, None, None] * share[n], rtol=1e-4, atol=1e-7)
    for k in range(2):
        alone = explain(explained, feeds | {"mask": MASK}, [[[0, 2][k]], [1]])
        for name in wanted:
            np.testing.assert_allclose(got[name][:, k], alone[name][:, 0], rtol=1e-5, atol=1e-7)


def test_an_empty_mask_and_a_class_predicted_nowhere_score_zero() -> None:
    model = segmentation()
    feeds = images(model) | {"mask": np.zeros((2, 8, 8), np.float32)}
    got = explain(rewrite(model, layers="layer", score="masked(segmentation)"), feeds, TARGET)
    for name in ("score", "cam", "heatmap"):
        np.testing.assert_array_equal(got[name], np.zeros_like(got[name]))
    zeros = {"image": np.full((1, 3, 8, 8), 1, np.float32)}
    maps = logit_maps(model, zeros)
    got = explain(rewrite(model, layers="layer", score="predicted(segmentation)"), zeros, [[0, 1, 2]])
    nowhere = [c for c in range(CLASSES) if not (maps.argmax(axis=1) == c).any()]
    assert nowhere
    np.testing.assert_array_equal(got["score"][0, nowhere], np.zeros(len(nowhere)))


def test_a_name_of_the_model_is_kept_and_the_new_input_prefixed() -> None:
    model = segmentation(image="mask")
    explained = rewrite(model, layers="layer", score="masked(segmentation)")
    assert names_of(explained.graph.input) == ["mask", "onnxplain_mask", "target"]
    names = (read_metadata(explained) or {})["names"]
    assert names["mask"] == "onnxplain_mask"
    feeds = images(model)
    got = explain(explained, feeds | {"onnxplain_mask": MASK}, TARGET)
    np.testing.assert_allclose(got["score"], picked(masked(logit_maps(model, feeds)), TARGET), rtol=1e-4, atol=1e-5)


def test_sums_over_pixels_do_not_overflow_in_float16() -> None:
    """300 x 300 ones are more than float16 holds, 65504."""
    model = segmentation(dtype=TensorProto.FLOAT16)
    for value in (*model.graph.input, *model.graph.output):
        for axis in (2, 3):
            value.type.tensor_type.shape.dim[axis].dim_value = 300
    feeds = {"image": np.ones((1, 3, 300, 300), np.float16), "mask": np.ones((1, 300, 300), np.float32)}
    got = explain(rewrite(model, layers="layer", score="masked(segmentation)"), feeds, [[0, 1, 2]])
    expected = run(model, {"image": feeds["image"]})["segmentation"].astype(np.float64).mean(axis=(2, 3))
    np.testing.assert_allclose(got["score"], expected, rtol=1e-2)


def test_similarity_is_the_cosine_with_a_reference() -> None:
    net = Net(seed=2)
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer")
    net.output(net.add("Sigmoid", net.head(x, 4, 6), out="embedding"), ["N", 6])
    model = net.model()
    explained = rewrite(model, score="similarity(embedding)")
    assert described(list(explained.graph.input))["reference"] == (TensorProto.FLOAT, ["N", 6])
    assert (read_metadata(explained) or {})["names"]["reference"] == "reference"
    feeds, reference = images(model), np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    got = explain(explained, feeds | {"reference": reference}, [[0], [-1]])
    embedding = run(model, feeds)["embedding"]  # behind the sigmoid: that is the embedding
    norms = np.linalg.norm(embedding, axis=1) * np.linalg.norm(reference, axis=1)
    np.testing.assert_allclose(got["score"][:, 0], (embedding * reference).sum(axis=1) / norms, rtol=1e-5)
    blank = explain(explained, feeds | {"reference": np.zeros((2, 6), np.float32)}, [[0], [0]])
    np.testing.assert_array_equal(blank["score"], [[0], [0]])


@pytest.mark.parametrize("last", [False, True], ids=["[N, 4 + classes, boxes]", "[N, boxes, 5 + classes]"])
def test_boxes_of_a_detector(last: bool) -> None:
    """As YOLOv8 has them, and as YOLOv5 has them: a class's best box, and the classes of one box."""
    net, offset = Net(seed=4), 5 if last else 4
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer")
    x = net.add("Reshape", net.conv(x, 4, offset + CLASSES), net.const([0, offset + CLASSES, 64], np.int64))
    x = net.add("Transpose", x, perm=[0, 2, 1]) if last else x
    net.output(net.add("Sigmoid", x, out="boxes"), ["N", 64, 5 + CLASSES] if last else ["N", 4 + CLASSES, 64])
    model = net.model()
    feeds = images(model)
    raw = run(model, feeds)["boxes"].astype(np.float64)
    classes = np.log(raw / (1 - raw))  # before the sigmoid
    classes = classes[:, :, 5:].transpose(0, 2, 1) if last else classes[:, 4:]
    best, one = (
        ("max(boxes[:, :, 5:], axis=1)", "boxes[:, 17, 5:]")
        if last
        else ("max(boxes[:, 4:], axis=2)", "boxes[:, 4:, 17]")
    )
    for text, scores in ((best, classes.max(axis=2)), (one, classes[:, :, 17])):
        got = explain(rewrite(model, layers="layer", score=text), feeds, TARGET)
        np.testing.assert_allclose(got["score"], picked(scores, TARGET), rtol=1e-3, atol=1e-4)
        assert got["heatmap"].max() == 1


@pytest.mark.parametrize("text", ["masked(segmentation)", "predicted(segmentation)", "segmentation[:, :, 2, 5]"])
def test_no_layer_is_one_of_the_score(text: str) -> None:
    own = {name for node in segmentation().graph.node for name in node.output}
    assert {layer.name for layer in layers(segmentation(), score=text)} <= own
    assert set((read_metadata(rewrite(segmentation(), score=text)) or {})["layers"]) <= own
