"""Detections box by box, in the forms that exporters write: values and gradients of boxes by rank and by class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain.engine.explainer import Explainer
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError
from onnxplain.graph_rewrites.rewrite import rewrite

from ....graph_rewrites.messages import assert_one_line
from ...networks import Array, Net, explain, f32, run

CLASSES, SIDE = 3, 16
I64 = np.int64


def heads(net: Net, batch: int | str) -> tuple[str, str]:
    """Boxes [batch, 64, 4] and class scores [batch, 64, CLASSES] of a smooth network."""
    x = net.add("Tanh", net.conv(net.input("image", [batch, 3, SIDE, SIDE]), 3, 8, strides=[2, 2]), out="layer")
    found = []
    for channels in (4, CLASSES):
        maps = net.add("Reshape", net.conv(x, 8, channels, 1), net.const([0, channels, 64], I64))
        found.append(net.add("Transpose", maps, perm=[0, 2, 1]))
    corner, size = net.add("Split", found[0], axis=2, out="corner"), "size"
    net.nodes[-1].output.append(size)
    boxes = net.add("Concat", corner, net.add("Add", corner, net.add("Exp", size)), axis=2)
    return boxes, net.add("Sigmoid", found[1])


def kept(net: Net, boxes: str, scores: str) -> tuple[str, str, str, str]:
    """What non-maximum suppression keeps: boxes [n, 4], scores [n], and int64 [n] classes and images."""
    limits = [net.const(6, I64), net.const(f32([0.6])), net.const(f32([0.45]))]
    most = net.add("Reshape", limits[0], net.const([1], I64))
    chosen = net.add("NonMaxSuppression", boxes, net.add("Transpose", scores, perm=[0, 2, 1]), most, *limits[1:])
    image, label, box = (net.add("Gather", chosen, net.const(i, I64), axis=1) for i in range(3))
    flat = net.add("Squeeze", boxes, net.const([0], I64))
    places = net.add("Concat", *(net.add("Unsqueeze", each, net.const([1], I64)) for each in (box, label)), axis=1)
    values = net.add("GatherND", net.add("Squeeze", scores, net.const([0], I64)), places)
    return net.add("Gather", flat, box, axis=0), values, label, image


def column(net: Net, values: str, whole: bool = False) -> str:
    values = net.add("Cast", values, to=TensorProto.FLOAT) if whole else values
    return net.add("Unsqueeze", values, net.const([1], I64))


def rows6(net: Net) -> None:
    boxes, scores, labels, _ = kept(net, *heads(net, 1))
    parts = [boxes, column(net, scores), column(net, labels, whole=True)]
    net.output(net.add("Concat", *parts, axis=1, out="det"), ["n", 6])


def rows6_of_a_batch(net: Net) -> None:
    boxes, scores, labels, _ = kept(net, *heads(net, 1))
    rows = net.add("Concat", boxes, column(net, scores), column(net, labels, whole=True), axis=1)
    net.output(net.add("Unsqueeze", rows, net.const([0], I64), out="det"), [1, "n", 6])


def rows7(net: Net) -> None:
    boxes, scores, labels, images = kept(net, *heads(net, 1))
    parts = [column(net, images, whole=True), boxes, column(net, labels, whole=True), column(net, scores)]
    net.output(net.add("Concat", *parts, axis=1, out="det"), ["n", 7])


def three_outputs(net: Net) -> None:
    boxes, scores, labels, _ = kept(net, *heads(net, 1))
    net.output(net.add("Identity", boxes, out="boxes"), ["n", 4])
    net.output(net.add("Identity", labels, out="labels"), ["n"], TensorProto.INT64)
    net.output(net.add("Identity", scores, out="scores"), ["n"])


def without_suppression(net: Net) -> None:
    boxes, scores = heads(net, "N")
    net.output(net.add("Identity", scores, out="logits"), ["N", 64, CLASSES])
    net.output(net.add("Identity", boxes, out="boxes"), ["N", 64, 4])


def numbers_first(net: Net) -> None:
    joined = net.add("Concat", *heads(net, "N"), axis=2)
    net.output(net.add("Transpose", joined, perm=[0, 2, 1], out="det"), ["N", 4 + CLASSES, 64])


def with_objectness(net: Net) -> None:
    boxes, scores = heads(net, "N")
    thing = net.add("Sigmoid", net.add("ReduceSum", boxes, net.const([2], I64), keepdims=1))
    net.output(net.add("Concat", boxes, thing, scores, axis=2, out="det"), ["N", 64, 5 + CLASSES])


def read(form: Callable[[Net], None], found: dict[str, Array], image: int) -> list[tuple[float, int, Array]]:
    """The boxes of one image by numpy, (score, class, box) of each, as the form says; best first."""
    if form is three_outputs:
        each = zip(found["scores"], found["labels"], found["boxes"], strict=True)
        return sorted(((float(s), int(c), b) for s, c, b in each), key=lambda one: -one[0])
    if form is without_suppression:
        boxes, scores = found["boxes"][image], found["logits"][image]
    elif form is numbers_first:
        boxes, scores = found["det"][image, :4].T, found["det"][image, 4:].T
    elif form is with_objectness:
        boxes, scores = found["det"][image, :, :4], found["det"][image, :, 5:] * found["det"][image, :, 4:5]
    else:
        rows = found["det"].reshape(-1, found["det"].shape[-1])
        columns = (slice(1, 5), 6, 5) if form is rows7 else (slice(0, 4), 4, 5)
        each = ((float(row[columns[1]]), int(row[columns[2]]), row[columns[0]]) for row in rows)
        return sorted(each, key=lambda one: -one[0])
    every = ((float(scores[i, c]), c, boxes[i]) for i in range(64) for c in range(CLASSES))
    return sorted(every, key=lambda one: -one[0])


def by_rank(form: Callable[[Net], None], boxes: list[tuple[float, int, Array]]) -> list[tuple[float, int, Array]]:
    """The boxes of all classes in order; where each box has scores of all classes, by its best one."""
    if form in (without_suppression, numbers_first, with_objectness):
        seen: dict[bytes, tuple[float, int, Array]] = {}
        for one in boxes:
            seen.setdefault(one[2].tobytes(), one)
        return list(seen.values())
    return boxes


def model(form: Callable[[Net], None]) -> onnx.ModelProto:
    net = Net(seed=11)
    form(net)
    return net.model()


FORMS = [rows6, rows6_of_a_batch, rows7, three_outputs, without_suppression, numbers_first, with_objectness]


def feeds_of(made: onnx.ModelProto, seed: int = 3) -> dict[str, Array]:
    count = made.graph.input[0].type.tensor_type.shape.dim[0].dim_value or 2
    return {"image": f32(np.random.default_rng(seed).normal(size=(count, 3, SIDE, SIDE)))}


@pytest.mark.parametrize("form", FORMS)
def test_the_boxes_by_rank_and_by_class(form: Callable[[Net], None]) -> None:
    made = model(form)
    feeds = feeds_of(made)
    plain = run(made, feeds)
    for rank in (0, 1, 4):
        explainer = Explainer(made, score=f"detection({rank})", layers="layer")
        targets = [-1, -3, 0, 2]
        found = explainer.run(feeds, targets)
        for image in range(len(feeds["image"])):
            boxes = read(form, plain, image)
            assert len(boxes) > 7
            every = by_rank(form, boxes)
            for k, target in enumerate(targets):
                own = [one for one in boxes if one[1] == target]
                score, label, box = every[rank - target - 1] if target < 0 else own[rank]
                np.testing.assert_allclose(found["score"][image, k], score, rtol=1e-5)
                np.testing.assert_allclose(found["detection"][image, k], [*box, score, label], rtol=1e-5, atol=1e-5)
        for name in plain:
            np.testing.assert_allclose(found[name], plain[name], rtol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", ["", ".box[0]", ".box[3]"])
def test_the_gradient_of_a_box_is_the_central_difference(form: Callable[[Net], None], part: str) -> None:
    made = model(form)
    feeds = feeds_of(made)
    explained = rewrite(made, method="gradient", score=f"detection(1){part}", outputs=("score", "input_gradient"))
    targets = [[-1]] * len(feeds["image"])
    gradient = explain(explained, feeds, targets)["input_gradient"][:, 0]
    direction = gradient / np.linalg.norm(gradient)
    step = 1e-3
    plus, minus = (
        explain(explained, {"image": feeds["image"] + sign * f32(step * direction)}, targets)["score"].sum()
        for sign in (1, -1)
    )
    slope = float(plus - minus) / (2 * step)
    np.testing.assert_allclose(float((gradient * direction).sum()), slope, rtol=2e-2)
    assert slope > 0.01


def test_a_number_of_a_box_is_its_value() -> None:
    made = model(rows6)
    feeds = feeds_of(made)
    boxes = read(rows6, run(made, feeds), 0)
    for number in range(4):
        found = Explainer(made, score=f"detection(2).box[{number}]", layers="layer").run(feeds, -1)
        np.testing.assert_allclose(found["score"][0, 0], boxes[2][2][number], rtol=1e-5)


@pytest.mark.parametrize("form", [rows6, without_suppression])
def test_a_box_that_is_not_there_is_an_error(form: Callable[[Net], None]) -> None:
    made = model(form)
    explainer = Explainer(made, score="detection(500)", layers="layer", preprocess="raw,size=16x16")
    with pytest.raises(OnnxplainError) as error:
        explainer(np.zeros((SIDE, SIDE, 3), np.uint8))
    assert_one_line(error, "there is nothing to score, such as a box")


def test_an_explanation_has_the_box_and_its_class() -> None:
    made = model(rows6)
    picture = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    explainer = Explainer(made, score="detection(0)", layers="layer", preprocess="raw,size=16x16,scale=1/255")
    one, other = explainer(picture, "top2")
    assert one.score >= other.score
    assert set(one.details) == {"box0", "box1", "box2", "box3"}
    again = explainer(picture, one.target)[0]
    assert (again.score, again.details) == (one.score, one.details)


@pytest.mark.parametrize("method", ["occlusion", "ablation-cam", "score-cam", "guided-grad-cam", "full-grad"])
def test_other_methods_explain_the_best_box(method: str) -> None:
    net = Net(seed=11)
    boxes, scores = heads(net, "N")
    net.nodes[0].op_type, net.nodes[1].op_type = "Conv", "Relu"
    net.output(net.add("Concat", boxes, scores, axis=2, out="det"), ["N", 64, 4 + CLASSES])
    at = {} if method in ("occlusion", "full-grad") else {"layers": "layer"}
    found = Explainer(net.model(), score="detection(0)", method=method, **at).run(feeds_of(net.model()), -1)
    assert np.abs(found["heatmap"]).max() == 1


@pytest.mark.parametrize("text", ["detection", "detection()", "detection(-1)", "detection(0).box[4]", "detection(x)"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as error:
        rewrite(model(rows6), score=text)
    assert_one_line(error, text)


def test_rows_whose_columns_the_graph_does_not_tell_are_refused() -> None:
    net = Net()
    x = net.add("Tanh", net.conv(net.input("image", [1, 3, 8, 8]), 3, 6), out="layer")
    rows = net.add("Transpose", net.add("Reshape", x, net.const([0, 6, -1], I64)), perm=[0, 2, 1])
    net.output(net.add("Identity", rows, out="det"), [1, 64, 6])
    with pytest.raises(OnnxplainError) as error:
        rewrite(net.model(), score="detection(0)")
    assert_one_line(error, "the graph does not tell which numbers of 'det'")
