from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.rewrite import rewrite

from ...networks import Array, Net, explain, f32, images, run

CLASSES = 5


def classifier(ending: Callable[[Net, str], str], shape: list[int | str] | None = None) -> onnx.ModelProto:
    net = Net(seed=4)
    x = net.input("image", ["N", 3, 8, 8])
    x = net.head(net.add("Relu", net.conv(x, 3, 4), out="layer"), 4, CLASSES)
    net.output(net.add("Identity", ending(net, x), out="result"), shape or ["N", CLASSES])
    return net.model()


def reshape(net: Net, x: str) -> str:
    return net.add("Reshape", x, net.const([-1, CLASSES], np.int64))


SQUASHED: dict[str, tuple[str | None, Callable[[Net, str], str]]] = {
    "nothing": (None, lambda net, x: x),
    "Softmax": ("Softmax", lambda net, x: net.add("Softmax", x, axis=1)),
    "LogSoftmax": ("LogSoftmax", lambda net, x: net.add("LogSoftmax", x, axis=-1)),
    "Sigmoid": ("Sigmoid", lambda net, x: net.add("Sigmoid", x)),
    "Softmax, Identity": ("Softmax", lambda net, x: net.add("Identity", net.add("Softmax", x))),
    "Softmax, Flatten": ("Softmax", lambda net, x: net.add("Flatten", net.add("Softmax", x))),
    "Softmax, Reshape": ("Softmax", lambda net, x: reshape(net, net.add("Softmax", x))),
    "Sigmoid, Cast, Cast": (
        "Sigmoid",
        lambda net, x: net.add("Cast", net.add("Cast", net.add("Sigmoid", x), to=TensorProto.DOUBLE), to=1),
    ),
    "Relu": (None, lambda net, x: net.add("Relu", x)),
    "Softmax times 2": (None, lambda net, x: net.add("Mul", net.add("Softmax", x), net.const(2.0))),
}


@pytest.mark.parametrize("name", SQUASHED)
def test_the_score_is_the_value_before_the_squashing(name: str) -> None:
    squashed_by, ending = SQUASHED[name]
    model = classifier(ending)
    explained = rewrite(model, outputs=["score", "cam", "logits"])
    record = (read_metadata(explained) or {})["score"]
    assert (record["output"], record["squashed_by"]) == ("result", squashed_by)
    target = [[0, 4, -1], [2, 2, -5]]
    got = explain(explained, images(model), target)
    plain = run(model, images(model))["result"]
    np.testing.assert_allclose(got["result"], plain, rtol=1e-5, atol=1e-7)
    logits = run(classifier(lambda net, x: x), images(model))["result"] if squashed_by else plain
    np.testing.assert_allclose(got["logits"], logits, rtol=1e-5, atol=1e-6)
    order = np.argsort(-logits, axis=1, kind="stable")
    expected = [
        [logits[0, 0], logits[0, 4], logits[0, order[0, 0]]],
        [logits[1, 2], logits[1, 2], logits[1, order[1, 4]]],
    ]
    np.testing.assert_allclose(got["score"], expected, rtol=1e-5, atol=1e-6)
    assert got["score"].dtype == np.float32


def test_scores_of_shape_n_c_1_1_are_taken_by_class() -> None:
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer")
    x = net.conv(net.add("GlobalAveragePool", x), 4, CLASSES, 1)
    net.output(net.add("Softmax", x, axis=1, out="result"), ["N", CLASSES, 1, 1])
    net.output(x, ["N", CLASSES, 1, 1])
    model = net.model()
    got = explain(rewrite(model, score="result", outputs=["score", "logits", "cam"]), images(model), [[3, -1], [0, 1]])
    logits = run(model, images(model))[x][:, :, 0, 0]
    np.testing.assert_allclose(got["score"], [[logits[0, 3], logits[0].max()], [logits[1, 0], logits[1, 1]]], rtol=1e-5)
    assert got["logits"].shape == (2, CLASSES)


@pytest.mark.parametrize("keep", [True, False], ids=["[N, 1]", "[N]"])
def test_a_single_score_per_sample_is_one_class(keep: bool) -> None:
    net = Net()
    x = net.head(net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer"), 4, 1)
    x = x if keep else net.add("Squeeze", x, net.const([1], np.int64))
    net.output(net.add("Sigmoid", x, out="result"), ["N", 1] if keep else ["N"])
    model = net.model()
    got = explain(rewrite(model), images(model), [[0], [-1]])
    probability = run(model, images(model))["result"].ravel()
    np.testing.assert_allclose(1 / (1 + np.exp(-got["score"][:, 0])), probability, rtol=1e-5)


def identity_scores() -> onnx.ModelProto:
    """Scores that a test chooses: the mean of each channel of a 1x1 identity convolution."""
    net = Net()
    x = net.input("image", ["N", 4, 2, 2])
    x = net.add("Conv", x, net.const(np.eye(4)[:, :, None, None]), out="layer")
    net.output(net.add("Flatten", net.add("GlobalAveragePool", x), out="logits"), ["N", 4])
    return net.model()


def scores_image(rows: list[list[float]]) -> dict[str, Array]:
    return {"image": np.repeat(f32(rows)[:, :, None, None], 4).reshape(len(rows), 4, 2, 2)}


def picked(rows: list[list[float]], target: list[list[int]]) -> list[list[int]]:
    """Which class each target took: the channel whose gradient is not zero."""
    got = explain(rewrite(identity_scores(), outputs=["gradient", "score"]), scores_image(rows), target)
    channels = np.abs(got["gradient"]).sum(axis=(3, 4))
    assert ((channels > 0).sum(axis=2) == 1).all()
    result: list[list[int]] = channels.argmax(axis=2).tolist()
    np.testing.assert_allclose(got["score"], np.take_along_axis(f32(rows), np.array(result), axis=1))
    return result


def test_negative_targets_rank_each_rows_own_scores() -> None:
    rows = [[1.0, 4.0, 3.0, 2.0], [-1.0, -4.0, -3.0, -2.0]]
    assert picked(rows, [[-1, -2, -3, -4], [-1, -2, -3, -4]]) == [[1, 2, 3, 0], [0, 3, 2, 1]]


def test_indices_and_ranks_mix_in_one_target() -> None:
    rows = [[1.0, 4.0, 3.0, 2.0], [5.0, 0.0, 6.0, 7.0]]
    assert picked(rows, [[0, -1, 3], [-2, 2, -4]]) == [[0, 1, 3], [2, 2, 1]]


def test_of_equal_scores_the_lower_index_ranks_first() -> None:
    assert picked([[2.0, 7.0, 7.0, 7.0]], [[-1, -2, -3, -4]]) == [[1, 2, 3, 0]]
    assert picked([[0.0, 0.0, 0.0, 0.0]], [[-1, -2, -3, -4]]) == [[0, 1, 2, 3]]


@pytest.mark.parametrize("target", [4, -5, 1000])
def test_a_class_that_does_not_exist_stops_the_run(target: int) -> None:
    with pytest.raises(Exception, match="GatherElements"):
        explain(rewrite(identity_scores()), scores_image([[1.0, 2.0, 3.0, 4.0]]), [[target]])


def several(kinds: dict[str, int]) -> onnx.ModelProto:
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer")
    logits = net.head(x, 4, CLASSES, out="hidden")
    for name, kind in kinds.items():
        net.add("Cast", logits, to=kind, out=name)
        net.output(name, ["N", CLASSES], kind)
    return net.model()


def test_several_outputs_and_none_chosen_is_a_usage_error() -> None:
    model = several({"first": TensorProto.FLOAT, "second": TensorProto.FLOAT})
    with pytest.raises(UsageError, match=r"several outputs; choose one with score= \(--score\): first, second"):
        rewrite(model)
    with pytest.raises(UsageError, match="no output 'secnod'; did you mean 'second'"):
        rewrite(model, score="secnod")
    assert (read_metadata(rewrite(model, score="second")) or {})["score"]["output"] == "second"


def test_the_only_float_output_needs_no_choice() -> None:
    model = several({"indices": TensorProto.INT64, "floats": TensorProto.FLOAT})
    assert (read_metadata(rewrite(model)) or {})["score"]["output"] == "floats"
    with pytest.raises(OnnxplainError, match="output 'indices' holds no floats"):
        rewrite(model, score="indices")


def test_a_model_without_float_outputs_says_so() -> None:
    with pytest.raises(OnnxplainError, match=r"none of the outputs .* holds floats"):
        rewrite(several({"indices": TensorProto.INT64}))


def test_a_map_as_output_is_no_class_score() -> None:
    net = Net()
    net.output(net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), ["N", 4, 8, 8])
    with pytest.raises(OnnxplainError, match=r"not one score per class \[N, classes\].* such as mean\(t\d+\)$"):
        rewrite(net.model())


def test_of_an_output_that_may_score_words_the_expression_for_them_is_named() -> None:
    net = Net()
    net.output(net.add("Identity", net.input("x", ["N", "T", 7]), out="net/logits:0"), ["N", "T", 7])
    with pytest.raises(OnnxplainError) as raised:
        rewrite(net.model())
    assert str(raised.value).endswith(
        'such as mean("net/logits:0"), or sequence("net/logits:0") of words [N, T, vocabulary]'
    )
