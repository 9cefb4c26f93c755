"""Samples, further inputs, tokens and geometry are traced from the graph: right values, or a refusal in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain.engine.explainer import Explainer
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.rewrite import layers, rewrite

from ..messages import assert_one_line
from ..networks import Array, Net, f32, run

rng = np.random.default_rng(5)


def features(net: Net, x: str, channels: int = 3) -> str:
    """Four feature maps at half the input's size."""
    return net.add(
        "Relu", net.add("Conv", x, net.random(4, channels, 3, 3), strides=[2, 2], pads=[1] * 4), out="features"
    )


def pooled(net: Net, x: str) -> str:
    return net.add("ReduceMean", x, axes=[2, 3], keepdims=0)


def classifier(batch: int | str, tail: Any, shape: list[int | str]) -> onnx.ModelProto:
    """Five scores of an image [batch, 3, 8, 8]; `tail` makes the output of them."""
    net = Net()
    x = features(net, net.input("image", [batch, 3, 8, 8]))
    scores = net.add("MatMul", pooled(net, x), net.random(4, 5), out="scores")
    net.output(net.add("Identity", tail(net, scores), out="out"), shape)
    return net.model()


TAILS: dict[str, tuple[Any, list[int | str]]] = {
    "Squeeze": (lambda net, x: net.add("Squeeze", x, net.const([0], np.int64)), [5]),
    "Squeeze of all": (lambda net, x: net.add("Squeeze", x), [5]),
    "Reshape": (lambda net, x: net.add("Reshape", x, net.const([-1], np.int64)), [5]),
    "Gather": (lambda net, x: net.add("Gather", x, net.const(0, np.int64), axis=0), [5]),
    "Transpose": (lambda net, x: net.add("Transpose", x, perm=[1, 0]), [5, 1]),
    "axes between": (lambda net, x: net.add("Unsqueeze", x, net.const([0, 3], np.int64)), [1, 1, 5, 1]),
}


@pytest.mark.parametrize("name", list(TAILS)[:5])
def test_an_output_without_a_batch_axis_or_with_it_elsewhere_is_the_classes(name: str) -> None:
    model = classifier(1, *TAILS[name])
    image = {"image": f32(rng.normal(size=(1, 3, 8, 8)))}
    expected = run(model, image)["out"].ravel()
    explain = Explainer(model)
    assert explain.classes in (None, 5)
    for target, score in ((-1, expected.max()), (3, expected[3]), (-5, expected.min())):
        assert explain.run(image, target)["score"].ravel() == pytest.approx([score], rel=1e-5)
    top = explain.run(image, -1)["cam"]
    np.testing.assert_array_equal(top, explain.run(image, int(expected.argmax()))["cam"])


def test_the_batch_behind_another_axis_is_brought_to_the_front() -> None:
    """Scores [T, N, C], as recurrent networks put them out: their mean over the steps."""
    net = Net()
    x = features(net, net.input("image", ["N", 3, 8, 8]))  # [N, 4, 4, 4]
    rows = net.add("Transpose", net.add("ReduceMean", x, axes=[3], keepdims=0), perm=[2, 0, 1])  # steps first
    net.output(net.add("MatMul", rows, net.random(4, 5), out="steps"), [4, "N", 5])
    images = {"image": f32(rng.normal(size=(3, 3, 8, 8)))}
    expected = run(net.model(), images)["steps"].mean(axis=0)
    explained = Explainer(net.model(), score="mean(steps, axis=1)")
    np.testing.assert_allclose(explained.run(images, [0, 4])["score"], expected[:, [0, 4]], rtol=1e-5)
    with pytest.raises(OnnxplainError, match="not one score per class"):
        rewrite(net.model())


def detector(batch: int | str) -> onnx.ModelProto:
    """Rows [n, 6] of those cells whose first value is positive."""
    net = Net()
    x = net.add("Conv", features(net, net.input("image", [batch, 3, 8, 8])), net.random(6, 4, 1, 1))
    rows = net.add("Reshape", net.add("Transpose", x, perm=[0, 2, 3, 1]), net.const([-1, 6], np.int64))
    keep = net.add("Greater", net.add("Gather", rows, net.const(0, np.int64), axis=1), net.const(0.0))
    net.output(net.add("Compress", rows, keep, axis=0, out="det"), ["n", 6])
    return net.model()


def test_rows_of_detections_are_no_samples() -> None:
    image = {"image": f32(rng.normal(size=(1, 3, 8, 8)))}
    rows = run(detector(1), image)["det"]
    assert len(rows) > 1
    with pytest.raises(OnnxplainError) as caught:
        rewrite(detector(1))
    assert_one_line(caught)
    for text, expected in (("sum(det)", rows.sum()), ("max(det[:, 4])", rows[:, 4].max())):
        assert Explainer(detector(1), score=text).run(image, 0)["score"].ravel() == pytest.approx([expected], rel=1e-4)
    with pytest.raises(OnnxplainError, match="not the images of the batch"):
        rewrite(detector("N"), score="sum(det)")


@pytest.mark.parametrize("shape", [(), (1,), (5,)], ids=["scalar", "one number", "vector"])
def test_further_inputs_without_rows_are_the_same_for_all(shape: tuple[int, ...]) -> None:
    net = Net()
    x = features(net, net.input("image", ["N", 3, 8, 8]))
    scores = net.add("MatMul", pooled(net, x), net.random(4, 5))
    net.output(net.add("Mul", scores, net.input("scale", list(shape)), out="out"), ["N", 5])
    feeds = {"image": f32(rng.normal(size=(3, 3, 8, 8))), "scale": f32(rng.uniform(1, 2, size=shape))}
    expected = run(net.model(), feeds)["out"]
    explain = Explainer(net.model(), preprocess="raw,scale=1/255")
    np.testing.assert_allclose(explain.run(feeds, [1, 4])["score"], expected[:, [1, 4]], rtol=1e-5)
    pictures = [rng.integers(0, 255, (8, 8, 3), dtype=np.uint8) for _ in range(2)]
    tensor = np.stack([explain.preprocess.apply(picture) for picture in pictures])
    wanted = run(net.model(), {"image": tensor, "scale": feeds["scale"]})["out"][:, 2]
    found = [one.score for one in explain(pictures, 2, inputs={"scale": feeds["scale"]})]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("images", [1, 3])
def test_prompts_are_no_batch(images: int) -> None:
    """Scores [images, texts]: the texts stay whole however many images there are."""
    net = Net()
    x = features(net, net.input("image", ["images", 3, 8, 8]))
    text = net.input("text", ["texts", 4])
    net.output(
        net.add("MatMul", pooled(net, x), net.add("Transpose", text, perm=[1, 0]), out="out"), ["images", "texts"]
    )
    feeds = {"image": f32(rng.normal(size=(images, 3, 8, 8))), "text": f32(rng.normal(size=(2, 4)))}
    expected = run(net.model(), feeds)["out"]
    found = Explainer(net.model()).run(feeds, [0, 1])
    np.testing.assert_allclose(found["score"], expected, rtol=1e-5)
    np.testing.assert_allclose(found["out"], expected, rtol=1e-5)
    one = [Explainer(net.model()).run(feeds, target)["cam"] for target in (0, 1)]
    np.testing.assert_allclose(found["cam"], np.concatenate(one, axis=1), rtol=1e-4, atol=1e-6)


def transformer(order: list[int], before: int, behind: int) -> onnx.ModelProto:
    """Patches of 4 x 6 as tokens, their rows and columns in an order, between further tokens; one attention."""
    net = Net()
    x = net.add("Conv", net.input("image", [1, 3, 8, 12]), net.random(8, 3, 2, 2), strides=[2, 2], out="patches")
    x = net.add("Transpose", x, perm=[0, *order, 1])
    x = net.add("Reshape", x, net.const([1, 24, 8], np.int64))
    extra = [net.const(rng.normal(size=(1, count, 8))) for count in (before, behind)]
    x = net.add("Concat", *([extra[0]] if before else []), x, *([extra[1]] if behind else []), axis=1)
    tokens = net.add("LayerNormalization", x, net.const(np.ones(8)), net.const(np.zeros(8)), out="tokens")
    keys = net.add("Transpose", tokens, perm=[0, 2, 1])
    weights = net.add("Softmax", net.add("MatMul", tokens, keys), axis=-1)
    mixed = net.add("Add", net.add("MatMul", weights, tokens), x)
    net.output(
        net.add("MatMul", net.add("ReduceMean", mixed, axes=[1], keepdims=0), net.random(8, 5), out="out"), [1, 5]
    )
    return net.model()


@pytest.mark.parametrize("order", [[2, 3], [3, 2]], ids=["by rows", "by columns"])
@pytest.mark.parametrize("beside", [(0, 0), (1, 0), (0, 1), (2, 3)], ids=str)
def test_tokens_lie_where_their_patches_do(order: list[int], beside: tuple[int, int]) -> None:
    model = transformer(order, *beside)
    image = {"image": f32(rng.normal(size=(1, 3, 8, 12)))}
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.append(onnx.helper.make_tensor_value_info("tokens", TensorProto.FLOAT, [1, sum(beside) + 24, 8]))
    tokens = run(probe, image)["tokens"][0, beside[0] : beside[0] + 24]
    by_rows = tokens.reshape([4, 6, 8] if order == [2, 3] else [6, 4, 8]).transpose(
        [0, 1, 2] if order == [2, 3] else [1, 0, 2]
    )
    found = Explainer(rewrite(model, layers="tokens", outputs=["score", "cam", "heatmap", "activation"])).run(image, 2)
    np.testing.assert_allclose(found["activation"][0], by_rows.transpose(2, 0, 1), rtol=1e-5)


def test_windows_are_not_offered_and_refused_by_name() -> None:
    net = Net()
    x = features(net, net.input("image", ["N", 3, 16, 16]))  # [N, 4, 8, 8]
    x = net.add("Reshape", x, net.const([-1, 4, 2, 4, 2, 4], np.int64))
    x = net.add("Reshape", net.add("Transpose", x, perm=[0, 2, 4, 1, 3, 5]), net.const([-1, 4, 4, 4], np.int64))
    x = net.add("Relu", net.add("Conv", x, net.random(4, 4, 3, 3), pads=[1] * 4), out="inner")
    x = net.add("Reshape", x, net.const([-1, 2, 2, 4, 4, 4], np.int64))
    x = net.add("Reshape", net.add("Transpose", x, perm=[0, 3, 1, 4, 2, 5]), net.const([-1, 4, 8, 8], np.int64))
    net.output(net.add("MatMul", pooled(net, x), net.random(4, 5), out="out"), ["N", 5])
    assert "inner" not in [layer.name for layer in layers(net.model())]
    with pytest.raises(OnnxplainError, match=r"'inner'.*no row per image"):
        rewrite(net.model(), layers="inner")


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "one map", "maps without a class axis"])
def test_predicted_and_masked_find_the_class_axis(layout: str) -> None:
    net = Net()
    x = net.add(
        "Conv", features(net, net.input("image", ["N", 3, 8, 12])), net.random(1 if "map" in layout else 3, 4, 1, 1)
    )
    if layout == "NHWC":
        x = net.add("Transpose", x, perm=[0, 2, 3, 1])
    if layout == "maps without a class axis":
        x = net.add("Squeeze", x, net.const([1], np.int64))
    shapes = {"NHWC": ["N", 4, 6, 3], "one map": ["N", 1, 4, 6], "maps without a class axis": ["N", 4, 6]}
    net.output(net.add("Identity", x, out="maps"), shapes.get(layout, ["N", 3, 4, 6]))
    images = {"image": f32(rng.normal(size=(2, 3, 8, 12)))}
    maps = run(net.model(), images)["maps"]
    maps = maps.transpose(0, 3, 1, 2) if layout == "NHWC" else maps.reshape(2, -1, 4, 6)
    classes = maps.shape[1]
    chosen = maps == maps.max(axis=1, keepdims=True) if classes > 1 else maps > 0
    wanted = (maps * chosen).sum((2, 3)) / np.maximum(chosen.sum((2, 3)), 1)
    targets = list(range(classes))
    found = Explainer(net.model(), score="predicted(maps)").run(images, targets)["score"]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    mask: Array = f32(rng.random((2, 4, 6)))
    found = Explainer(net.model(), score="masked(maps)").run({**images, "mask": mask}, targets)["score"]
    np.testing.assert_allclose(
        found, (maps * mask[:, None]).sum((2, 3)) / mask.sum((1, 2))[:, None], rtol=1e-4, atol=1e-6
    )


def test_a_mean_over_the_batch_is_refused_unless_it_is_one_image() -> None:
    """Samples that touch each other have no scores of their own."""

    def model(batch: int | str) -> onnx.ModelProto:
        net = Net()
        x = features(net, net.input("image", [batch, 3, 8, 8]))
        x = net.add("Mul", net.add("Sub", x, net.add("ReduceMean", x, axes=[0], name="mean")), x)
        net.output(net.add("MatMul", pooled(net, x), net.random(4, 5), out="out"), [batch, 5])
        return net.model()

    for batch in ("N", 3):
        for method in ("grad-cam", "gradient", "full-grad", "occlusion", "ablation-cam", "score-cam"):
            with pytest.raises(OnnxplainError) as error:
                Explainer(model(batch), method=method)
            assert_one_line(error, "ReduceMean (node 'mean') puts the images of a batch together")
    assert Explainer(model(1), layers="features").run({"image": f32(rng.normal(size=(1, 3, 8, 8)))}, 2)["cam"].shape


def test_training_mode_and_images_without_a_batch_are_refused() -> None:
    net = Net()
    ones, zeros = net.const(np.ones(4)), net.const(np.zeros(4))
    x = net.add("Conv", net.input("image", ["N", 3, 8, 8]), net.random(4, 3, 3, 3))
    net.nodes.append(
        onnx.helper.make_node("BatchNormalization", [x, ones, zeros, zeros, ones], ["bn", "m", "v"], training_mode=1)
    )
    net.output(net.add("MatMul", pooled(net, net.add("Relu", "bn")), net.random(4, 5), out="out"), ["N", 5])
    with pytest.raises(OnnxplainError, match=r"training mode.*export the model for inference"):
        rewrite(net.model())
    net = Net()
    x = net.add("Unsqueeze", net.input("image", [3, 8, 8]), net.const([0], np.int64))
    x = features(net, x)
    net.output(net.add("MatMul", pooled(net, x), net.random(4, 5), out="out"), [1, 5])
    for method in ("grad-cam", "gradient", "occlusion"):
        with pytest.raises(OnnxplainError, match="not a batch of images") as caught:
            Explainer(net.model(), method=method)
        assert_one_line(caught)
