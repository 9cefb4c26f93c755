"""Models of an image and of words: captions scored word by word, and questions as a further input."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.rewrite import rewrite

from ...maps.test_class_batch import assert_k_classes_equal_k_runs, repeated_tensors
from ...networks import Array, Net, explain, run, small_cnn

VOCABULARY, UNITS = 7, 5


def encoder(net: Net) -> str:
    """`image` [N, 3, 8, 8] to a vector [N, UNITS], by the layer `maps`."""
    maps = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 6, strides=[2, 2]), out="maps")
    flat = net.add("Flatten", maps, axis=1)
    return net.add("Tanh", net.add("Gemm", flat, net.random(UNITS, 6 * 4 * 4), transB=1), out="vector")


def embedded(net: Net, name: str) -> str:
    """Words int64 [N, T] to vectors [T, N, UNITS]."""
    words = net.input(name, ["N", "T"], TensorProto.INT64)
    return net.add("Transpose", net.add("Gather", net.random(VOCABULARY, UNITS), words), perm=[1, 0, 2])


def lstm(net: Net, sequence: str) -> tuple[str, str]:
    """The hidden states [T, 1, N, UNITS], and the last one [1, N, UNITS]."""
    weights = [net.random(1, 4 * UNITS, UNITS), net.random(1, 4 * UNITS, UNITS), net.random(1, 8 * UNITS)]
    last = f"{sequence}_last"
    net.nodes.append(onnx.helper.make_node("LSTM", [sequence, *weights], [f"{sequence}_all", last], hidden_size=UNITS))
    return f"{sequence}_all", last


def captioner() -> onnx.ModelProto:
    """The image vector is the LSTM's first input; `tokens` [N, T] and it give `logits` [N, T, VOCABULARY]."""
    net = Net()
    first = net.add("Unsqueeze", encoder(net), net.const([0], np.int64))
    states, _ = lstm(net, net.add("Concat", first, embedded(net, "tokens"), axis=0, out="steps"))
    words = net.add("Slice", states, net.const([1], np.int64), net.const([99], np.int64), net.const([0], np.int64))
    words = net.add("Transpose", net.add("Squeeze", words, net.const([1], np.int64)), perm=[1, 0, 2])
    net.output(net.add("MatMul", words, net.random(UNITS, VOCABULARY), out="logits"), ["N", "T", VOCABULARY])
    return net.model()


def answerer() -> onnx.ModelProto:
    """Image vector times the last state of the question's LSTM, to `logits` [N, 4]; the question is read first."""
    net = Net()
    question = embedded(net, "question")
    _, last = lstm(net, question)
    fused = net.add("Mul", encoder(net), net.add("Squeeze", last, net.const([0], np.int64)), out="fused")
    net.output(net.add("Gemm", fused, net.random(4, UNITS), transB=1, out="logits"), ["N", 4])
    return net.model()


def feeds(**words: list[list[int]]) -> dict[str, Array]:
    image = np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype(np.float32)
    return {"image": image, **{name: np.array(value) for name, value in words.items()}}


TOKENS = [[1, 3, 4], [1, 5, 5]]
WORDS = [[3, 4, 2], [5, 5, 2]]


def test_a_sequence_scores_log_probabilities_and_their_sum() -> None:
    model = captioner()
    logits = run(model, feeds(tokens=TOKENS))["logits"].astype(np.float64)
    every = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    expected = np.take_along_axis(every, np.array(WORDS)[:, :, None], axis=2)[:, :, 0]
    explained = rewrite(model, score="sequence(logits)")
    got = explain(explained, feeds(tokens=TOKENS, words=WORDS), [[0, 1, 2, 3]] * 2)["score"]
    np.testing.assert_allclose(got[:, 1:], expected, atol=1e-5)
    np.testing.assert_allclose(got[:, 0], expected.sum(axis=1), atol=1e-5)


def test_steps_without_a_word_score_nothing_and_move_no_map() -> None:
    explained = rewrite(captioner(), score="sequence(logits)")
    whole = explain(explained, feeds(tokens=[row[:2] for row in TOKENS], words=[row[:2] for row in WORDS]), [[0]] * 2)
    padded = explain(explained, feeds(tokens=TOKENS, words=[[*row[:2], -1] for row in WORDS]), [[0, 3]] * 2)
    for name in ("score", "cam"):
        np.testing.assert_allclose(padded[name][:, 0], whole[name][:, 0], atol=1e-6)
        assert not padded[name][:, 1].any()


def test_a_word_s_map_is_that_of_its_log_probability() -> None:
    model = captioner()
    together = explain(rewrite(model, score="sequence(logits)"), feeds(tokens=TOKENS, words=WORDS), [[2]] * 2)
    squashed = onnx.ModelProto.FromString(model.SerializeToString())
    squashed.graph.node.append(onnx.helper.make_node("LogSoftmax", ["logits"], ["log"], axis=2))
    squashed.graph.node.append(onnx.helper.make_node("Identity", ["log"], ["scores"]))
    squashed.graph.node.append(onnx.helper.make_node("Neg", ["scores"], ["minus"]))
    squashed.graph.output.append(onnx.helper.make_tensor_value_info("minus", 1, ["N", "T", VOCABULARY]))
    # The other sign and the counterfactual method, which turns it again: nothing to look through as a squashing.
    alone = rewrite(squashed, score="minus[:, 1]", method="counterfactual")
    got = explain(alone, feeds(tokens=TOKENS), [[4], [5]])
    np.testing.assert_allclose(together["score"], -got["score"], atol=1e-5)
    np.testing.assert_allclose(together["cam"], got["cam"], atol=1e-5)


@pytest.mark.parametrize("layer", [None, "image"])
def test_all_words_together_are_each_alone(layer: str | None) -> None:
    given = feeds(tokens=TOKENS, words=WORDS)
    explained = rewrite(captioner(), score="sequence(logits)", layers=layer)
    together = explain(explained, given, [[0, 1, 3]] * 2)
    for column, target in enumerate((0, 1, 3)):
        alone = explain(explained, given, [[target]] * 2)
        for name in ("score", "cam", "heatmap"):
            np.testing.assert_allclose(together[name][:, column], alone[name][:, 0], rtol=1e-4, atol=1e-5)


def test_the_encoder_runs_once_for_all_words() -> None:
    explained = rewrite(captioner(), score="sequence(logits)")
    assert sorted(repeated_tensors(explained)) == ["maps", "tokens", "words"]


def test_a_question_is_a_further_input_and_the_encoder_runs_once_for_all_answers() -> None:
    model = answerer()
    target = np.array([[0, -1, 3], [2, 1, -2]])
    assert_k_classes_equal_k_runs(model, feeds(question=TOKENS), target)
    assert sorted(repeated_tensors(rewrite(model))) == ["maps", "question"]


@pytest.mark.parametrize("told", [["steps_all"], ["logits"], ["steps_all", "logits"]])
def test_a_number_of_steps_that_the_file_tells_is_not_believed_where_it_is_open(told: list[str]) -> None:
    """As torch.onnx's dynamo exporter writes the sizes of its example behind an LSTM, here of 5 words."""
    model = captioner()
    if "steps_all" in told:
        states = onnx.helper.make_tensor_value_info("steps_all", TensorProto.FLOAT, [6, 1, "N", UNITS])
        model.graph.value_info.append(states)
    if "logits" in told:
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 5
    explained = rewrite(model, score="sequence(logits)")
    (words,) = [value for value in explained.graph.input if value.name == "words"]
    assert not words.type.tensor_type.shape.dim[1].HasField("dim_value")
    asked = feeds(tokens=TOKENS, words=WORDS), [[0, 1, 2, 3]] * 2
    got, expected = explain(explained, *asked), explain(rewrite(captioner(), score="sequence(logits)"), *asked)
    for name in ("score", "cam"):
        np.testing.assert_allclose(got[name], expected[name], atol=1e-6)


def test_an_output_without_steps_is_refused() -> None:
    with pytest.raises(OnnxplainError, match=r"not \[N, T, vocabulary\]"):
        rewrite(small_cnn(), score="sequence(logits)")


@pytest.mark.parametrize("score", [0, 2])
def test_excitation_backprop_passes_the_recurrent_cell(score: int) -> None:
    """Every word's unit starts with relevance 1, and what the words before it do not take reaches the image."""
    model, given = captioner(), feeds(tokens=TOKENS, words=WORDS)
    relevance = explain(rewrite(model, score="sequence(logits)", method="mwp"), given, [[score]] * 2)["cam"]
    total = relevance.sum(axis=(2, 3))
    assert (relevance >= 0).all()
    assert (total > 0).all()
    assert (total <= (1 if score else 3) + 1e-6).all()


def test_excitation_backprop_of_a_sequence_is_the_sum_of_its_words() -> None:
    model, given = captioner(), feeds(tokens=TOKENS, words=WORDS)
    maps = explain(rewrite(model, score="sequence(logits)", method="mwp"), given, [[0, 1, 2, 3]] * 2)["cam"]
    np.testing.assert_allclose(maps[:, 0], maps[:, 1:].sum(axis=1), atol=1e-6)


def test_excitation_backprop_passes_a_product_with_a_question() -> None:
    """The question's vector scales the image's, so that relevance flows to the image alone."""
    model, given = answerer(), feeds(question=TOKENS)
    relevance = explain(rewrite(model, method="mwp"), given, [[-1]] * 2)["cam"].sum(axis=(2, 3))
    np.testing.assert_allclose(relevance, 1, atol=1e-5)
