"""Excitation backprop where units are of either sign: beside a question, in tanh, in recurrent cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxplain.graph_rewrites.rewrite import rewrite

from ..autodiff.test_precision import in_type
from ..networks import Array, Net, explain, f32, run

WIDTH, WORDS, STEPS = 8, 7, 3
TARGET = [[0, 3], [4, 1]]


def winners(weight: Array, x: Array, relevance: Array, unit: Array | None = None) -> Array:
    """The relevance of units [I], shared out over x [J] by what of weight [I, J] times x has the sign of the unit."""
    parts = weight * x if unit is None else weight * x * np.sign(unit)[:, None]
    return shares(np.maximum(parts, 0).T, relevance)


def shares(parts: Array, relevance: Array) -> Array:
    """Relevance [I] in proportion to parts [J, I], over j; none where nothing is positive."""
    total = parts.sum(axis=0)
    return np.asarray((parts / np.where(total > 0, total, 1) * relevance).sum(axis=1))


def at_top(weight: Array, x: Array, contrast: bool) -> tuple[Array, Array]:
    """The relevance of x under one class's weights [J], and that under its dual's."""
    one = np.ones(1)
    return winners(weight[None], x, one), winners(-weight[None], x, one) if contrast else 0 * x


def weights_of(model: onnx.ModelProto) -> dict[str, Array]:
    return {each.name: numpy_helper.to_array(each).astype(np.float64) for each in model.graph.initializer}


def encoder(net: Net) -> str:
    """`image` by the layer `maps` to `vector` [N, WIDTH], which nothing rectifies."""
    maps = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 6, strides=[2, 2]), out="maps")
    weight = net.random(WIDTH, 6 * 4 * 4, name="see")
    return net.add("Gemm", net.add("Flatten", maps), weight, net.random(WIDTH), transB=1, out="vector")


def pictures() -> Array:
    return np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype(np.float32)


def inner(model: onnx.ModelProto, feeds: dict[str, Array], *names: str) -> dict[str, Array]:
    """What is computed on the way, and the outputs; float64."""
    seen = onnx.shape_inference.infer_shapes(model)
    seen.graph.output.extend(value for value in seen.graph.value_info if value.name in names)
    return {name: value.astype(np.float64) for name, value in run(seen, feeds).items()}


# --- a question beside the image ---


def answerer(function: str) -> onnx.ModelProto:
    """Image vector times that of `question` [N, WIDTH], then an MLP."""
    net = Net()
    asked = net.add("Gemm", net.input("question", ["N", WIDTH]), net.random(WIDTH, WIDTH), transB=1)
    fused = net.add("Mul", encoder(net), net.add(function, asked), out="fused")
    hidden = net.add("Relu", net.add("Gemm", fused, net.random(16, WIDTH, name="mix"), transB=1), out="hidden")
    net.output(net.add("Gemm", hidden, net.random(5, 16, name="answer"), transB=1, out="logits"), ["N", 5])
    return net.model()


@pytest.mark.parametrize("method", ["mwp", "c-mwp"])
@pytest.mark.parametrize("function", ["Tanh", "Identity"])
def test_a_negative_unit_beside_a_question_is_won_by_what_lowers_it(function: str, method: str) -> None:
    model = answerer(function)
    feeds = {"image": pictures(), "question": np.random.default_rng(2).normal(size=(2, WIDTH)).astype(np.float32)}
    weights, at = weights_of(model), inner(model, feeds, "maps", "vector", "fused", "hidden")
    got = explain(rewrite(model, method=method, outputs=["gradient"]), feeds, TARGET)["gradient"]
    for n, targets in enumerate(TARGET):
        for k, target in enumerate(targets):
            own, against = at_top(weights["answer"][target], at["hidden"][n], method == "c-mwp")
            fused = winners(weights["mix"], at["fused"][n], own - against)
            expected = winners(weights["see"], at["maps"][n].ravel(), fused, at["vector"][n])
            np.testing.assert_allclose(got[n, k].ravel(), expected, atol=1e-6)
            lowered = fused[at["vector"][n] < 0]
            assert np.abs(lowered).sum() > 0.1


# --- a caption's words ---


def captioner() -> onnx.ModelProto:
    """The image vector is the first input of an LSTM, `tokens` [N, T] follow; `logits` [N, T, WORDS]."""
    net = Net(seed=3)
    words = net.add(
        "Gather", net.random(WORDS, WIDTH, name="embedding"), net.input("tokens", ["N", "T"], TensorProto.INT64)
    )
    first = net.add("Unsqueeze", encoder(net), net.const([1], np.int64))
    steps = net.add("Transpose", net.add("Concat", first, words, axis=1), perm=[1, 0, 2], out="steps")
    weights = [net.random(1, 4 * WIDTH, WIDTH, name=name) for name in ("read", "recur")]
    bias = net.random(1, 8 * WIDTH, name="bias")
    said = net.add("Squeeze", net.add("LSTM", steps, *weights, bias, hidden_size=WIDTH), net.const([1], np.int64))
    said = net.add("Transpose", net.add("Slice", said, *(net.const([i], np.int64) for i in (1, 99, 0))), perm=[1, 0, 2])
    net.output(net.add("MatMul", said, net.random(WIDTH, WORDS, name="say"), out="logits"), ["N", "T", WORDS])
    return net.model()


class Lstm:
    """An LSTM of the operator specification, and the relevance of its first input (Bargal et al. 2018)."""

    def __init__(self, weights: dict[str, Array], inputs: Array) -> None:
        """inputs: [T, WIDTH]."""
        split = [np.split(weights[name][0], 4) for name in ("read", "recur")]
        self.read, self.recur = split[0][3], split[1][3]  # of the candidates
        self.steps: list[dict[str, Array]] = []
        state = cell = np.zeros(WIDTH)
        for x in inputs:
            read = weights["read"][0] @ x + weights["bias"][0, : 4 * WIDTH]
            recur = weights["recur"][0] @ state + weights["bias"][0, 4 * WIDTH :]
            i, o, f, n = np.split(read + recur, 4)
            gates = [1 / (1 + np.exp(-gate)) for gate in (i, o, f)]
            kept, new = gates[2] * cell, gates[0] * np.tanh(n)
            terms = {"read": read[-WIDTH:], "recur": recur[-WIDTH:], "kept": kept, "new": new}
            self.steps.append({"x": x, "before": state, **terms})
            cell = kept + new
            state = gates[1] * np.tanh(cell)
        self.state = state

    def first(self, relevance: Array) -> Array:
        """Relevance of the last state, as it reaches the first input."""
        in_cell = np.zeros(WIDTH)
        for step in reversed(self.steps):
            kept, new = _split(in_cell + relevance, step["kept"], step["new"])
            read, recur = _split(new, step["read"], step["recur"])
            in_cell, relevance = kept, winners(self.recur, step["before"], recur, step["recur"])
        return winners(self.read, self.steps[0]["x"], read, self.steps[0]["read"])


def _split(relevance: Array, *terms: Array) -> list[Array]:
    """Shared out over the terms of a sum, those of its sign."""
    parts = np.maximum(np.stack(terms) * np.sign(sum(terms)), 0)
    return list(parts / np.maximum(parts.sum(axis=0), 1e-30) * relevance)


@pytest.mark.parametrize("method", ["mwp", "c-mwp"])
def test_a_word_s_relevance_equals_its_replica(method: str) -> None:
    model = captioner()
    feeds = {"image": pictures(), "tokens": np.array([[1, 3, 4], [1, 5, 2]])}
    said = np.array([[3, 4, 2], [5, 2, 6]])
    weights, at = weights_of(model), inner(model, feeds, "maps", "vector", "steps")
    explained = rewrite(model, method=method, score="sequence(logits)", outputs=["gradient"])
    got = explain(explained, {**feeds, "words": said}, [[1, 2, 3]] * 2)["gradient"]
    for n in range(2):
        for k in range(STEPS):
            lstm = Lstm(weights, at["steps"][: k + 2, n])
            word = weights["say"][:, said[n, k]]
            np.testing.assert_allclose(at["logits"][n, k, said[n, k]], lstm.state @ word, atol=1e-5)
            maps = [
                winners(weights["see"], at["maps"][n].ravel(), lstm.first(top), at["vector"][n])
                for top in at_top(word, lstm.state, method == "c-mwp")
            ]
            sums = [each.sum() for each in maps]
            if method == "c-mwp":
                assert min(sums) > 0.01
                maps = [each / each.sum() for each in maps]
            np.testing.assert_allclose(got[n, k].ravel(), maps[0] - maps[1], atol=1e-6)
            assert 0.01 < sums[0] < 1


def test_the_contrast_of_a_word_sums_to_0_whatever_the_words_before_take() -> None:
    explained = rewrite(captioner(), method="c-mwp", score="sequence(logits)", outputs=["gradient"])
    feeds = {"image": pictures(), "tokens": np.array([[1, 3, 4]] * 2), "words": np.array([[3, 4, 2]] * 2)}
    got = explain(explained, feeds, [[0, 1, 2, 3]] * 2)["gradient"]
    np.testing.assert_allclose(got.sum(axis=(2, 3, 4)), 0, atol=1e-5)
    assert (np.abs(got).sum(axis=(2, 3, 4)) > 0.05).all()


# --- a cell is the equations that it stands for ---


def as_operator(net: Net, vector: str, read: str, recur: str, bias: str) -> str:
    twice = net.add("Concat", *[net.add("Unsqueeze", vector, net.const([0], np.int64))] * 2, axis=0)
    biases = net.add("Concat", bias, net.const(np.zeros(WIDTH)), axis=0)
    whole = [net.add("Unsqueeze", each, net.const([0], np.int64)) for each in (read, recur, biases)]
    net.nodes.append(helper.make_node("RNN", [twice, *whole], ["", "last"], hidden_size=WIDTH))
    return net.add("Squeeze", "last", net.const([0], np.int64))


def written_out(net: Net, vector: str, read: str, recur: str, bias: str) -> str:
    seen = net.add("Add", net.add("MatMul", vector, net.add("Transpose", read)), bias)
    again = net.add("MatMul", net.add("Tanh", seen), net.add("Transpose", recur))
    return net.add("Tanh", net.add("Add", seen, again))


def reader(build: Callable[..., str]) -> onnx.ModelProto:
    """A recurrent cell that reads the vector of an image twice."""
    net = Net()
    vector = net.add("Tanh", encoder(net))
    state = build(net, vector, net.random(WIDTH, WIDTH), net.random(WIDTH, WIDTH), net.random(WIDTH))
    net.output(net.add("Gemm", state, net.random(5, WIDTH), transB=1, out="logits"), ["N", 5])
    return net.model()


@pytest.mark.parametrize("method", ["mwp", "c-mwp"])
def test_a_recurrent_cell_is_its_equations_written_out(method: str) -> None:
    one, other = (
        explain(rewrite(reader(build), method=method, outputs=["gradient"]), {"image": pictures()}, TARGET)["gradient"]
        for build in (as_operator, written_out)
    )
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert np.abs(one).sum() > 0.1


# --- by hand ---


def test_averages_of_either_sign_by_hand() -> None:
    """Layer (1, 2) and (4, 1): u is (1 - 4, 2 - 1), v (1 + 4, 2 + 1), y = -3 mean of softsign(u) + that of v.

    Softsign x / (1 + |x|) makes (-3/4, 1/2) and (5/6, 3/4), of means -1/8 and 19/24: y = 3/8 + 19/24, winners 9 : 19.
    Of the negative mean the first place wins all, and of the negative unit there the second channel. v's part is shared
    by the places as 10 : 9, and there by the channels as 1 : 4 and 2 : 1.
    """
    net = Net()
    x = net.add("Relu", net.input("image", ["N", 2, 1, 2]), out="layer")
    x = net.add("Softsign", net.add("Conv", x, net.const([[[[1]], [[-1]]], [[[1]], [[1]]]])))
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    net.output(net.add("Gemm", x, net.const([[-3, 1]]), transB=1, out="logits"), ["N", 1])
    feeds = {"image": f32([[[[1, 2]], [[4, 1]]]])}
    got = explain(rewrite(net.model(), method="mwp", layers="layer", outputs=["gradient"]), feeds, [[0]])["gradient"]
    of_u, of_v = (
        9 / 28 * np.array([[[0, 0]], [[1, 0]]]),
        1 / 28 * np.array([[[10 / 5, 9 * 2 / 3]], [[10 * 4 / 5, 9 / 3]]]),
    )
    np.testing.assert_allclose(got[0, 0], of_u + of_v, rtol=1e-6)


def test_a_score_is_explained_by_what_raises_it_be_it_negative() -> None:
    """No layer reads it: so also where the score is a mean of what tanh made, here of one value."""
    net = Net()
    logits = net.add("Gemm", encoder(net), net.random(5, WIDTH), transB=1, out="logits")
    net.add("Unsqueeze", net.add("Tanh", logits), net.const([2], np.int64), out="cells")
    net.output("logits", ["N", 5])
    net.output("cells", ["N", 5, 1])
    plain, squashed = (
        explain(rewrite(net.model(), method="mwp", score=score), {"image": pictures()}, [[0, 1, 2, 3, 4]] * 2)
        for score in ("logits", "mean(cells, axis=2)")
    )
    np.testing.assert_allclose(squashed["cam"], plain["cam"], atol=1e-6)
    np.testing.assert_allclose(squashed["score"], np.tanh(plain["score"]), rtol=1e-5)
    assert (plain["cam"][plain["score"] < 0].sum(axis=(1, 2)) > 0.5).any()


@pytest.mark.parametrize("method", ["mwp", "c-mwp"])
@pytest.mark.parametrize("model", [answerer("Tanh"), answerer("Identity"), reader(as_operator), reader(written_out)])
def test_relevance_of_a_float16_model_is_that_of_its_float32_twin(model: onnx.ModelProto, method: str) -> None:
    given = {"image": pictures()}
    if len(model.graph.input) > 1:
        given["question"] = np.random.default_rng(2).normal(size=(2, WIDTH)).astype(np.float32)
    narrow = rewrite(in_type(model, TensorProto.FLOAT16), method=method, outputs=["gradient"])
    got = explain(narrow, {name: value.astype(np.float16) for name, value in given.items()}, TARGET)["gradient"]
    expected = explain(rewrite(model, method=method, outputs=["gradient"]), given, TARGET)["gradient"]
    np.testing.assert_allclose(got, expected, atol=1e-3)
    assert np.abs(expected).max() > 0.05
