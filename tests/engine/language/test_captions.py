"""Captions: which words a model writes, with which probabilities, and where it saw them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain import Explainer, OnnxplainError, UsageError, rewrite
from onnxplain.engine.language.captions import Captioner
from onnxplain.engine.language.decoding import GreedyDecoder
from onnxplain.graph_rewrites.model.metadata import read_metadata

from ...graph_rewrites.networks import small_cnn
from .networks import (
    CAPTIONS,
    PHOTO,
    PREPROCESS,
    WORDS,
    Array,
    Replica,
    answerer,
    captioner,
    greedy_decoder,
    log_softmax,
    without,
)

IMAGE = PREPROCESS.apply(PHOTO)
TEXT = "a red circle above a"


def ids_of(text: str) -> list[int]:
    return [WORDS.index(word) for word in text.split()]


def replica_scores(text: str, image: Array = IMAGE) -> Array:
    """The log-probabilities of the sentence and of its words."""
    replica, tokens, scores = Replica(), [WORDS.index("<begin>")], []
    for word in ids_of(text):
        scores.append(log_softmax(replica.following(image, tokens))[word])
        tokens.append(word)
    return np.array([sum(scores), *scores])


def replica_caption(seed: int) -> list[str]:
    """The most probable word at each step."""
    replica, tokens = Replica(seed), [WORDS.index("<begin>")]
    while len(tokens) <= CAPTIONS["length"]:
        tokens.append(int(replica.following(IMAGE, tokens).argmax()))
        if WORDS[tokens[-1]] == "<end>":
            return [WORDS[token] for token in tokens[1:-1]]
    return [WORDS[token] for token in tokens[1:]]


@pytest.mark.parametrize("seed", [102, 133, 11, 9, 0])
def test_the_most_probable_word_is_written_at_each_step(seed: int) -> None:
    expected = replica_caption(seed)
    assert len(expected) == {102: 3, 133: 3, 11: 1, 9: 6, 0: 6}[seed]  # those of 6 are cut there
    model = captioner(seed=seed)
    assert GreedyDecoder(model)(PHOTO) == expected
    assert GreedyDecoder(model, greedy_decoder(seed))(PHOTO) == expected
    assert GreedyDecoder(captioner(CAPTIONS["length"], seed=seed))(PHOTO) == expected
    assert GreedyDecoder(rewrite(model, score="sequence(logits)"))(PHOTO) == expected


def test_a_caption_is_scored_word_by_word() -> None:
    caption = Captioner(captioner())(PHOTO)
    assert caption.text == "square red a"
    assert caption.words == ["square", "red", "a"]
    expected = replica_scores(caption.text)
    np.testing.assert_allclose(caption.log_probabilities, expected[1:], atol=1e-5)
    assert caption.log_probability == pytest.approx(expected[0], abs=1e-5)
    assert caption.log_probability == pytest.approx(sum(caption.log_probabilities), abs=1e-5)
    assert [one.label for one in caption.explanations] == ["square red a", "square", "red", "a"]
    assert {one.layer for one in caption.explanations} == {"maps"}


def test_a_caption_that_is_given_is_explained_as_it_is() -> None:
    for given in ("A red circle, above a.", TEXT.split()):
        caption = Captioner(captioner())(PHOTO, given)
        assert caption.text == TEXT
        np.testing.assert_allclose([one.score for one in caption.explanations], replica_scores(TEXT), atol=1e-5)


def with_log_probabilities() -> onnx.ModelProto:
    """The captioner with `logs` [N, T, words], written without an operator that would be taken for a final softmax."""
    model = captioner()
    for node in (("ReduceLogSumExp", ["logits"], ["total"], {"axes": [2]}), ("Sub", ["logits", "total"], ["logs"], {})):
        operator, inputs, outputs, attributes = node
        model.graph.node.append(onnx.helper.make_node(operator, inputs, outputs, **attributes))
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("logs", TensorProto.FLOAT, ["N", "T", len(WORDS)]))
    return model


@pytest.mark.parametrize("method", ["grad-cam", "guided-grad-cam"])
def test_each_word_s_map_is_that_of_the_word_alone(method: str) -> None:
    model, ids = with_log_probabilities(), ids_of(TEXT)
    caption = Captioner(captioner(), method=method)(PHOTO, TEXT)
    tokens = np.array([WORDS.index("<begin>"), *ids[:-1]])
    for step, (word, together) in enumerate(zip(ids, caption.explanations[1:], strict=True)):
        (alone,) = Explainer(model, method=method, score=f"logs[:, {step}]")(PHOTO, word, {"tokens": tokens})
        assert together.score == pytest.approx(alone.score, abs=1e-5)
        assert together.cam is not None
        np.testing.assert_allclose(together.cam, alone.cam, atol=1e-6)
        np.testing.assert_allclose(together.heatmap, alone.heatmap, atol=1e-4)
    maps = [one.heatmap for one in caption.explanations]
    assert min(np.abs(one - other).max() for i, one in enumerate(maps) for other in maps[:i]) > 0.01


def test_occlusion_is_the_drop_of_the_log_probability() -> None:
    options = {"size": 4, "stride": 4, "fill": "zero"}
    caption = Captioner(captioner(), method="occlusion", options=options)(PHOTO, TEXT)
    expected = np.zeros((len(caption.explanations), 2, 2))
    for row, column in np.ndindex(2, 2):
        covered = IMAGE.copy()
        covered[:, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] = 0
        expected[:, row, column] = replica_scores(TEXT) - replica_scores(TEXT, covered)
    np.testing.assert_allclose(np.stack([one.cam for one in caption.explanations]), expected, atol=1e-5)


def test_several_layers_have_an_explanation_of_each_word() -> None:
    caption = Captioner(captioner(), layers=["t0", "maps"])(PHOTO, "a red")
    found = [(one.label, one.layer) for one in caption.explanations]
    assert found == [(label, layer) for label in ("a red", "a", "red") for layer in ("t0", "maps")]
    np.testing.assert_allclose(
        [caption.log_probability, *caption.log_probabilities], replica_scores("a red"), atol=1e-5
    )


@pytest.mark.parametrize("model", [captioner(6), captioner(output="some/scores:0"), captioner(tokens="target")])
def test_captioners_of_a_fixed_length_and_with_other_names(model: onnx.ModelProto) -> None:
    expected, got = (Captioner(one)(PHOTO) for one in (captioner(), model))
    assert got.text == expected.text
    for one, other in zip(got.explanations, expected.explanations, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
        np.testing.assert_allclose(one.heatmap, other.heatmap, atol=1e-4)


def test_the_record_of_an_explained_captioner_holds_its_vocabulary() -> None:
    model = captioner()
    explained = rewrite(model, score="sequence(logits)", outputs=["score", "cam", "heatmap"])
    record = read_metadata(explained) or {}
    assert record["text"] == CAPTIONS
    assert record["preprocessing"] == PREPROCESS.to_json()
    expected, got = Captioner(model)(PHOTO), Captioner(explained)(PHOTO)
    assert got.text == expected.text
    for one, other in zip(got.explanations, expected.explanations, strict=True):
        assert one.label == other.label
        np.testing.assert_allclose(one.heatmap, other.heatmap, atol=1e-5)


def two_outputs(beside: int = len(WORDS)) -> onnx.ModelProto:
    """The captioner with a second float output [N, T, beside]."""
    model = captioner()
    model.graph.node.append(onnx.helper.make_node("Tile", ["logits", "times"], ["tiled"]))
    model.graph.node.append(onnx.helper.make_node("Slice", ["tiled", "start", "end", "axis"], ["beside"]))
    for name, value in (("times", [1, 1, 2]), ("start", [0]), ("end", [beside]), ("axis", [2])):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), name))
    model.graph.output.append(onnx.helper.make_tensor_value_info("beside", TensorProto.FLOAT, ["N", "T", beside]))
    return model


def declared(steps: int) -> onnx.ModelProto:
    """The captioner with a number of steps written to its output, as PyTorch's exporter does."""
    model = captioner()
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = steps
    return model


def test_a_number_of_steps_written_to_the_output_is_not_believed() -> None:
    for text in (None, "a red circle above"):
        got, expected = Captioner(declared(5))(PHOTO, text), Captioner(captioner())(PHOTO, text)
        assert got.words == expected.words
        for one, other in zip(got.explanations, expected.explanations, strict=True):
            np.testing.assert_array_equal(one.heatmap, other.heatmap)


def test_the_output_that_scores_words_is_found_beside_others() -> None:
    assert Captioner(two_outputs(beside=12))(PHOTO).text == Captioner(captioner())(PHOTO).text


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (small_cnn(), UsageError, "net: neither takes nor gives words; use onnxplain explain"),
        (without(captioner(), "text"), OnnxplainError, "net: records no vocabulary; add `text`.*docs/language.md"),
        (without(captioner(), "preprocessing"), UsageError, "names no preprocessing; give it.*--preprocess"),
        (greedy_decoder(), UsageError, "takes no words.*give the captioner's own graph.*--decoder"),
        (answerer(), UsageError, "scores whole answers and no words of captions; use onnxplain vqa"),
        (rewrite(answerer()), UsageError, "is explained already, but not as a captioner"),
        (captioner(begin=None), OnnxplainError, "its record lacks begin, end or length"),
        (captioner(input="caption"), OnnxplainError, "lacks an input for words: 'caption' is none of image, tokens"),
        (captioner(pad="<nothing>"), OnnxplainError, "net: the record's text is not understood: the token pad"),
        (
            two_outputs(),
            UsageError,
            "2 outputs score the 9 words of its vocabulary .N, T, 9., where a captioner has one",
        ),
        (captioner(vocabulary=WORDS[:7]), UsageError, "0 outputs score the 7 words of its vocabulary"),
        (captioner(seed=5), OnnxplainError, "ends its caption of this image before the first word.*--caption"),
        (captioner(6, pad=None), OnnxplainError, "lacks a token pad, to fill up texts of fewer than 6 words"),
    ],
)
def test_models_that_cannot_caption_are_refused(
    model: onnx.ModelProto, error: type[OnnxplainError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        Captioner(model)(PHOTO)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


def test_captions_that_do_not_fit_are_refused() -> None:
    explain = Captioner(captioner(4))
    for text, message in (
        ("a crimson circle", "the caption has the word 'crimson'"),
        ("a red circle above a blue square", "caption too long: 7 words, at most 6"),
        ("a red circle above a", "net: takes 4 words, not 5; shorten the text"),
        ("", "the caption is empty"),
    ):
        with pytest.raises(UsageError, match=message):
            explain(PHOTO, text)


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (small_cnn(), "neither takes nor gives words"),
        (captioner(), "no decoder, which takes an image alone and gives token ids; leave --decoder out"),
        (greedy_decoder(vocabulary=WORDS[:-1]), "8 words, not 9.*exported with it"),
        (greedy_decoder(vocabulary=[*WORDS[:-1], "below"]), "word 8 is 'below', not 'above'"),
        (greedy_decoder(end="<pad>"), "it ends with '<pad>', not '<end>'"),
    ],
)
def test_decoders_that_do_not_belong_to_the_model_are_refused(decoder: onnx.ModelProto, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        GreedyDecoder(captioner(), decoder)
