"""Questions: the answers of a model, and where it saw them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxplain import Explainer, OnnxplainError, UsageError, rewrite
from onnxplain.engine.language.questions import Answerer
from onnxplain.graph_rewrites.model.metadata import read_metadata

from ...graph_rewrites.networks import small_cnn
from .networks import (
    ANSWERS,
    PHOTO,
    PREPROCESS,
    QUESTIONS,
    WORDS,
    Replica,
    answerer,
    captioner,
    greedy_decoder,
    log_softmax,
    recorded,
    without,
)

QUESTION = "A red circle above a square?"
IDS = [WORDS.index(word) for word in ("a", "red", "circle", "above", "a", "square")]
LOGITS = Replica().answers(PREPROCESS.apply(PHOTO), IDS)


@pytest.mark.parametrize("model", [answerer(), rewrite(answerer())])
def test_answers_come_with_their_probabilities_best_first(model: onnx.ModelProto) -> None:
    got = Answerer(model)(PHOTO, QUESTION)
    order = np.argsort(-LOGITS)
    assert got.question == QUESTION
    assert not got.out_of_vocabulary
    assert [answer.text for answer in got.answers] == [ANSWERS[index] for index in order]
    np.testing.assert_allclose([answer.score for answer in got.answers], LOGITS[order], atol=1e-5)
    shares = np.exp(log_softmax(LOGITS))[order]
    np.testing.assert_allclose([answer.probability for answer in got.answers], shares, atol=1e-6)
    (top,) = got.explanations
    assert (top.label, top.probability) == (got.answers[0].text, got.answers[0].probability)


def test_answers_are_chosen_by_their_text_even_where_they_are_numbers() -> None:
    got = Answerer(answerer(), method="gradient")(PHOTO, QUESTION, ["2", "Yes"])
    assert [(one.target, one.label) for one in got.explanations] == [(2, "2"), (3, "yes")]
    np.testing.assert_allclose([one.score for one in got.explanations], LOGITS[2:], atol=1e-5)
    assert len(got.answers) == len(ANSWERS)
    expected = Explainer(answerer(), method="gradient")(PHOTO, [2, 3], {"question": np.array(IDS)})
    for one, other in zip(got.explanations, expected, strict=True):
        np.testing.assert_allclose(one.heatmap, other.heatmap, atol=1e-6)
    assert np.abs(got.explanations[0].heatmap - got.explanations[1].heatmap).max() > 0.01


def test_an_explained_model_without_logits_tells_the_score_of_what_is_explained() -> None:
    model = answerer()
    model.graph.node.append(onnx.helper.make_node("Softmax", ["logits"], ["shares"], axis=1))
    model.graph.output[0].name = "shares"
    got = Answerer(rewrite(model))(PHOTO, QUESTION, "2")
    ((text, score, probability),) = got.answers
    assert (text, probability) == ("2", None)
    assert score == pytest.approx(LOGITS[2], abs=1e-5)
    assert [answer.text for answer in Answerer(model)(PHOTO, QUESTION).answers] == [
        ANSWERS[index] for index in np.argsort(-LOGITS)
    ]


def test_an_answer_beyond_the_top_ones_is_listed_behind_them() -> None:
    many = [f"answer {index}" for index in range(7)]
    got = Answerer(answerer(answers=many))(PHOTO, QUESTION)
    assert len(got.answers) == 5
    last = next(text for text in many if text not in [answer.text for answer in got.answers])
    assert [a.text for a in Answerer(answerer(answers=many))(PHOTO, QUESTION, last).answers] == [
        *(answer.text for answer in got.answers),
        last,
    ]


def test_occlusion_explains_an_answer() -> None:
    options = {"size": 8, "stride": 8, "fill": "zero"}
    (one,) = Answerer(answerer(), method="occlusion", options=options)(PHOTO, QUESTION, "blue").explanations
    blank = Replica().answers(np.zeros((3, 8, 8)), IDS)
    assert one.cam is not None
    np.testing.assert_allclose(one.cam, [[LOGITS[1] - blank[1]]], atol=1e-5)


def test_a_model_of_a_fixed_length_reads_padding_behind_the_question() -> None:
    padded = IDS[:2] + [WORDS.index("<pad>")] * 4
    expected = Replica().answers(PREPROCESS.apply(PHOTO), padded)  # this network does not pass over padding
    got = Answerer(answerer(6))(PHOTO, "a red")
    np.testing.assert_allclose([answer.score for answer in got.answers], np.sort(expected)[::-1], atol=1e-5)


def test_unknown_words_are_told_where_the_model_has_a_token_for_them() -> None:
    words = ["<unknown>", *WORDS[1:]]
    got = Answerer(answerer(vocabulary=words, pad=None, unknown="<unknown>"))(PHOTO, "a crimson circle")
    assert got.out_of_vocabulary == ["crimson"]
    expected = Replica().answers(PREPROCESS.apply(PHOTO), [IDS[0], 0, IDS[2]])
    np.testing.assert_allclose([answer.score for answer in got.answers], np.sort(expected)[::-1], atol=1e-5)


def test_the_record_of_an_explained_model_holds_vocabulary_and_answers() -> None:
    record = read_metadata(rewrite(answerer(), method="guided-grad-cam")) or {}
    assert (record["text"], record["labels"]) == (QUESTIONS, ANSWERS)


def picking() -> onnx.ModelProto:
    """An answerer that gives the answer alone and no scores."""
    model = answerer()
    model.graph.node.append(onnx.helper.make_node("ArgMax", ["logits"], ["answer"], axis=1))
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("answer", onnx.TensorProto.INT64, ["N", 1]))
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (small_cnn(), "net: neither takes nor gives words; use onnxplain explain"),
        (captioner(), "net: scores words of captions and no whole answers; use onnxplain caption"),
        (rewrite(captioner(), score="sequence(logits)"), "net: scores words of captions"),
        (greedy_decoder(), "net: takes no words, it only writes them; give a model that takes token ids"),
        (answerer(answers=None), "net: its record names no answers; give them in order, labels= .--labels."),
        (recorded(answerer(), labels=ANSWERS[:2]), "2 labels for a model of 4 classes"),
        (picking(), "net: no output scores answers .N, answers."),
        (without(answerer(), "preprocessing"), "net: its record names no preprocessing"),
    ],
)
def test_models_that_answer_no_questions_are_refused(model: onnx.ModelProto, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        Answerer(model)
    assert "\n" not in str(caught.value)


def test_a_model_without_a_vocabulary_is_refused() -> None:
    with pytest.raises(OnnxplainError, match="net: records no vocabulary; add `text` to its record") as caught:
        Answerer(without(answerer(), "text"))
    assert not isinstance(caught.value, UsageError)


@pytest.mark.parametrize(
    ("question", "answer", "message"),
    [
        ("what colour is it?", None, "the question has the word 'what', which the model does not know"),
        ("?", None, "the question is empty"),
        ("a " * 7, None, "question too long: 7 words, at most 6"),
        (QUESTION, "bleu", "net: has no answer 'bleu'; did you mean 'blue'?"),
        (QUESTION, ["red", "0"], "net: has no answer '0'; did you mean"),
        (QUESTION, "", "net: has no answer ''"),
    ],
)
def test_questions_and_answers_that_do_not_fit_are_refused(question: str, answer: str | None, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Answerer(answerer())(PHOTO, question, answer)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
