"""Words and their token ids, and what a wrong text or record gets."""

from __future__ import annotations

from typing import Any

import pytest
from onnxplain import OnnxplainError, UsageError
from onnxplain.engine.language.vocabulary import Vocabulary, words_of

from .networks import CAPTIONS, WORDS

VOCABULARY = Vocabulary.from_json(CAPTIONS)
OPEN = Vocabulary.from_json({"vocabulary": ["<unknown>", "red"], "unknown": "<unknown>"})


def test_words_are_runs_of_letters_digits_apostrophes_and_hyphens() -> None:
    text = "What's LEFT of the dark-green square, at 3 o'clock? (Überall.)"
    assert words_of(text) == ["what's", "left", "of", "the", "dark-green", "square", "at", "3", "o'clock", "überall"]
    assert words_of(" ?! ") == []


def test_a_text_is_encoded_and_decoded() -> None:
    ids = VOCABULARY.encode("A red circle, above!")
    assert ids == [WORDS.index(word) for word in ("a", "red", "circle", "above")]
    assert VOCABULARY.encode(["a", "<end>"]) == [3, 2]  # words given one by one may be any token
    assert VOCABULARY.decode(ids) == ["a", "red", "circle", "above"]


def test_unknown_words_become_the_token_for_them_where_there_is_one() -> None:
    assert OPEN.encode("red crimson red") == [1, 0, 1]
    assert OPEN.out_of_vocabulary("red crimson red") == ["crimson"]
    assert OPEN.encode("red " * 1000) == [1] * 1000  # any length where none is recorded


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a rde circle", "the question has the word 'rde', which the model does not know; did you mean 'red'?"),
        ("a red circle end", "the question has the word 'end', which the model does not know; did you mean 'red'?"),
        ("a " * 20, "question too long: 20 words, at most 6"),
        (" ?", "the question is empty; write words such as a, red, blue"),
        ([], "the question is empty"),
    ],
)
def test_texts_that_the_model_cannot_read(text: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        VOCABULARY.encode(text, "question")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_token_beyond_the_vocabulary_is_named() -> None:
    for token in (9, -1):
        with pytest.raises(OnnxplainError, match=f"gives token {token}, but its record names 9 words"):
            VOCABULARY.decode([3, token])


def test_a_record_is_read_as_it_was_written() -> None:
    assert VOCABULARY.to_json() == CAPTIONS
    assert Vocabulary.from_json({"vocabulary": ["red"]}) == Vocabulary(("red",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary": ["a", "a"]}, "names a word twice"),
        ({"vocabulary": []}, "empty"),
        ({"vocabulary": "a red"}, "no list of words"),
        ({"vocabulary": {"a": 0}}, "no list of words"),
        ({"begin": "<start>"}, "begin, '<start>', is not in the vocabulary"),
        ({"end": 2}, "must be text"),
        ({"length": 0}, "length must be positive"),
        ({"length": "6"}, "whole number"),
        ({"words": []}, "unknown keys .'words'."),
    ],
)
def test_a_record_of_another_form_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OnnxplainError, match=f"record's text is not understood: .*{message}.*docs/language.md"):
        Vocabulary.from_json({**CAPTIONS, **changes})
    with pytest.raises(OnnxplainError, match="missing vocabulary"):
        Vocabulary.from_json({"begin": "a"})
    with pytest.raises(OnnxplainError, match="missing vocabulary"):
        Vocabulary.from_json([])
