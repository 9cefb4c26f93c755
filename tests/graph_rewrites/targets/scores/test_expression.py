"""Scores written as expressions: their values and gradients against numpy's, and what is not understood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.rewrite import rewrite
from onnxplain.graph_rewrites.targets.scores.expression import is_expression

from ...messages import assert_one_line
from ...networks import Array, Net, explain, images, run

SHAPE = (4, 3, 5)
Function = Callable[[Array], Array]


def model(out: str = "out", open_sizes: bool = False) -> onnx.ModelProto:
    """Its output [N, 4, 3, 5] is the image, and so is `layer`; a second output holds integers."""
    net = Net()
    shape: list[int | str] = ["N", 4, "h", "w"] if open_sizes else ["N", *SHAPE]
    x = net.add("Conv", net.input("image", shape), net.const(np.eye(4)[:, :, None, None]), out="layer")
    net.output(net.add("Identity", x, out=out), shape)
    net.output(net.add("Cast", x, to=TensorProto.INT64, out="whole"), shape, TensorProto.INT64)
    return net.model()


def predicted(x: Array) -> Array:
    where = x == x.max(axis=1, keepdims=True)
    return np.asarray((x * where).sum(axis=(2, 3)) / np.maximum(where.sum(axis=(2, 3)), 1))


# In numpy the same text means the same, but for a mean or maximum over all axes, and what remains of one axis, [N].
INDICES = [
    *("out[:, :, 1, 2]", "out[:, :, -1, -2]", "out[:, 1:, 0, 0]", "out[:, ::2, 0, 4]", "out[:, 3:0:-1, 2, 0]"),
    *("out[:, ::-1, 0, 0]", "out[:, -2:, 0, 0]", "out[:, :-1, 0, 0]", "out[:, 2, 1]", "out[:, 2, 1, 1:4]"),
    "out[:, 2, 1, 3]",
]
EXPRESSIONS: dict[str, Function] = {
    **{text: lambda x, text=text: x[eval(text.replace("out", "np.s_"))] for text in INDICES},  # type: ignore[misc]
    "sum(out)": lambda x: x.sum(axis=(1, 2, 3)),
    "mean(out)": lambda x: x.mean(axis=(1, 2, 3)),
    "max(out)": lambda x: x.max(axis=(1, 2, 3)),
    "sum(out, axis=(2, 3))": lambda x: x.sum(axis=(2, 3)),
    "mean(out, axis=(-1, -2))": lambda x: x.mean(axis=(2, 3)),
    "max(out, axis=(1, 3))": lambda x: x.max(axis=(1, 3)),
    "max(out[:, 1:, 2], axis=2)": lambda x: x[:, 1:, 2].max(axis=2),
    "mean(out[:, :, ::2, 1:], axis=(2, 3))": lambda x: x[:, :, ::2, 1:].mean(axis=(2, 3)),
    "sum(out[:, 1, 2, 3])": lambda x: x[:, 1, 2, 3],
    "sum(out[:, 1])": lambda x: x[:, 1].sum(axis=(1, 2)),
    "predicted(out)": predicted,
    "predicted(out[:, 1:])": lambda x: predicted(x[:, 1:]),
}


def matrix(function: Function, x: Array) -> Array:
    """The scores [N, classes]; [N] is one class."""
    scores = function(x.astype(np.float64))
    return scores.reshape(len(scores), -1) if scores.ndim == 1 else scores


@pytest.mark.parametrize("open_sizes", [False, True], ids=["fixed", "open"])
@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_means_what_it_means_in_numpy(text: str, open_sizes: bool) -> None:
    image = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    scores = matrix(EXPRESSIONS[text], image)
    classes = scores.shape[1]
    explained = rewrite(
        model(open_sizes=open_sizes), layers="layer", score=text, outputs=["score", "logits", "gradient"]
    )
    got = explain(explained, {"image": image}, [list(range(classes))] * 2)
    np.testing.assert_allclose(got["score"], scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["logits"], scores, rtol=1e-5, atol=1e-6)
    for place in np.ndindex(2, *SHAPE):
        step = np.zeros_like(image, np.float64)
        step[place] = 1e-6
        slope = (matrix(EXPRESSIONS[text], image + step) - matrix(EXPRESSIONS[text], image - step))[place[0]] / 2e-6
        np.testing.assert_allclose(np.moveaxis(got["gradient"], 1, -1)[place], slope, atol=1e-5)


def test_the_record_holds_the_expression() -> None:
    score = (read_metadata(rewrite(model(), layers="layer", score="max(out, axis=(2, 3))")) or {})["score"]
    assert score["expression"] == "max(out, axis=(2, 3))"
    assert score["output"] == "out"


def test_negative_targets_rank_the_scores_of_the_expression() -> None:
    image = np.random.default_rng(1).normal(size=(2, *SHAPE)).astype(np.float32)
    explained = rewrite(model(), layers="layer", score="mean(out, axis=(2, 3))", outputs=["score"])
    got = explain(explained, {"image": image}, [[-1, -2, -3, -4]] * 2)
    np.testing.assert_allclose(got["score"], np.sort(image.mean(axis=(2, 3)), axis=1)[:, ::-1], atol=1e-6)


@pytest.mark.parametrize("name", ["some/output:0", "masked(out)", "out[0]", "max"])
def test_any_name_may_stand_in_quotes_or_alone_where_it_is_an_output(name: str) -> None:
    image = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    got = explain(rewrite(model(name), layers="layer", score=f'sum("{name}")'), {"image": image}, [[0], [0]])
    np.testing.assert_allclose(got["score"][:, 0], image.sum(axis=(1, 2, 3)), rtol=1e-5)
    with pytest.raises(OnnxplainError, match="not one score per class"):  # the output, and no expression of another
        rewrite(model(name), layers="layer", score=name)


def test_a_plain_name_is_no_expression() -> None:
    assert is_expression("mean(out)")
    assert is_expression("out[:, 1]")
    for text in ("out", "out:0", "some/output", "mean(out", "out[", "1 + 2"):
        assert not is_expression(text), text


NOT_UNDERSTOOD = "is not understood; write output, output[:, 3], max(output[:, 4:], axis=2) or masked(output)"
REFUSED: dict[str, tuple[type[OnnxplainError], str]] = {
    "maximum(out)": (UsageError, "no function 'maximum'; did you mean 'max'"),
    "np.max(out)": (UsageError, "no function ''"),
    "mean(oout)": (UsageError, "no output 'oout'; did you mean 'out'"),
    "layer[:, 1]": (UsageError, "no output 'layer'"),
    "mean(whole)": (OnnxplainError, "output 'whole' holds no floats, so it has no gradient"),
    "max(out, axis=0)": (UsageError, "axis must name axes after the first; there are 4"),
    "max(out, axis=4)": (UsageError, "axis must name axes after the first; there are 4"),
    "max(out, axis=-5)": (UsageError, "axis must name axes after the first; there are 4"),
    "max(out, axis=1)": (
        OnnxplainError,
        "has shape ['N', 3, 5], not one score per class [N, classes]; index or reduce",
    ),
    "out[:, 1:]": (OnnxplainError, "has shape ['N', 3, 3, 5], not one score per class"),
    "out[0]": (UsageError, "the index of a tensor of 4 axes begins with ':', for the batch"),
    "out[1:, 0, 0]": (UsageError, "the index of a tensor of 4 axes begins with ':', for the batch"),
    "out[:, 0, 0, 0, 0]": (UsageError, "the index of a tensor of 4 axes begins with ':', for the batch"),
    "out[:, 4, 0, 0]": (UsageError, "index 4 is out of range for axis 1 of size 4"),
    "out[:, 0, -4, 0]": (UsageError, "index -4 is out of range for axis 2 of size 3"),
    "out[:, 4:, 0, 0]": (UsageError, "nothing of axis 1, of size 4, is left"),
    "masked(out[:, :, 0, 0])": (OnnxplainError, "no pixels; choose a segmentation output"),
}
NONSENSE = [
    *("max(out, 1)", "max(out, keepdims=True)", "masked(out, axis=2)", "mean()", "mean(3)", "mean(out + 1)"),
    *("mean(mean(out))", "mean(out.T)", "out[:, 1.5]", "out[:, True]", "out[:, None]", "out[:, a]"),
    *("out[:, [0, 1]]", "max(out, axis='2')", "-out[:, 1]"),
]
REFUSED |= dict.fromkeys(NONSENSE, (UsageError, NOT_UNDERSTOOD))


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_understood_is_named_with_its_expression(text: str) -> None:
    kind, message = REFUSED[text]
    with pytest.raises(OnnxplainError) as error:
        rewrite(model(), layers="layer", score=text)
    assert type(error.value) is kind
    assert_one_line(error, message)
    assert repr(text) in str(error.value) or kind is OnnxplainError


def boxes(threshold: float, batch: bool) -> onnx.ModelProto:
    """Rows of 6 numbers above a threshold, `det` [n, 6], or [1, n, 6], of one image."""
    net = Net(seed=1)
    x = net.add("Relu", net.conv(net.input("image", [1, 3, 8, 8]), 3, 6), out="layer")
    rows = net.add("Transpose", net.add("Reshape", x, net.const([6, 64], np.int64)), perm=[1, 0])
    first = net.add("Gather", rows, net.const(0, np.int64), axis=1)
    rows = net.add("Compress", rows, net.add("Greater", first, net.const(threshold)), axis=0)
    if batch:
        rows = net.add("Unsqueeze", rows, net.const([0], np.int64))
    net.output(net.add("Identity", rows, out="det"), [1, "n", 6] if batch else ["n", 6])
    return net.model()


# Of det [n, 6] by numpy, and what is written for [1, n, 6].
INDEXED: dict[str, tuple[str, Callable[[Array], Any]]] = {
    "max(det[:, 4])": ("max(det[:, :, 4])", lambda det: [det[:, 4].max()]),
    "det[2]": ("det[:, 2]", lambda det: det[2]),
    "det[2, 1:4]": ("det[:, 2, 1:4]", lambda det: det[2, 1:4]),
    "mean(det, axis=0)": ("mean(det, axis=1)", lambda det: det.mean(axis=0)),
    "sum(det[:5, 3:], axis=1)": ("sum(det[:, :5, 3:], axis=2)", lambda det: det[:5, 3:].sum(axis=1)),
    "sum(det)": ("sum(det)", lambda det: [det.sum()]),
}


@pytest.mark.parametrize("text", INDEXED)
@pytest.mark.parametrize("batch", [False, True], ids=["without a batch axis", "with one"])
def test_an_output_is_indexed_by_its_own_axes(text: str, batch: bool) -> None:
    written, value = INDEXED[text]
    model = boxes(0.1, batch)
    feeds = images(model, 1)
    det = run(model, feeds)["det"].reshape(-1, 6)
    assert len(det) > 5
    expected = np.asarray(value(det))
    explained = rewrite(model, score=written if batch else text, layers="layer")
    for target, score in enumerate(expected):
        found = explain(explained, feeds, [[target]])["score"]
        np.testing.assert_allclose(found, [[score]], rtol=1e-5)


@pytest.mark.parametrize("text", ["max(det[:, 4])", "det[2, 1:4]", "det[0]", "mean(det[:, 4])"])
def test_what_is_not_there_scores_minus_infinity(text: str) -> None:
    model = boxes(1e9, batch=False)
    feeds = images(model, 1)
    assert run(model, feeds)["det"].shape == (0, 6)
    found = explain(rewrite(model, score=text, layers="layer", outputs=["score", "cam"]), feeds, [[0]])
    assert found["score"] == -np.inf
    assert not found["cam"].any()
