"""The words that a model reads or writes, as the token ids that it takes or gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from ...graph_rewrites.errors import OnnxplainError, UsageError, closest

_WORD = re.compile(r"[\w'-]+")
HELP = "see docs/language.md"


def words_of(text: str) -> list[str]:
    """The words of a text in lower case: runs of letters, digits, apostrophes and hyphens."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class Vocabulary:
    """What a model's record says of its words, under the key `text`.

    Attributes:
        vocabulary: the words; a word's place is its token id.
        input: the model's input for token ids; None of a model that only writes words.
        begin: the token before the first word of a caption.
        end: the token behind its last word.
        pad: the token that fills shorter texts.
        unknown: the token that stands for words outside the vocabulary; None where there are to be none.
        length: the most words of a text; None: any number.
    """

    vocabulary: tuple[str, ...]
    input: str | None = None
    begin: str | None = None
    end: str | None = None
    pad: str | None = None
    unknown: str | None = None
    length: int | None = None

    def __post_init__(self) -> None:
        _check(len(self.ids) == len(self.vocabulary) > 0, "the vocabulary is empty, or names a word twice")
        for role in ("begin", "end", "pad", "unknown"):
            token = getattr(self, role)
            _check(token is None or token in self.ids, f"the token {role}, {token!r}, is not in the vocabulary")
        _check(self.length is None or self.length > 0, f"length must be positive, not {self.length}")

    @cached_property
    def ids(self) -> dict[str, int]:
        """The token ids by word."""
        return {word: index for index, word in enumerate(self.vocabulary)}

    @classmethod
    def from_json(cls, data: Any) -> Vocabulary:
        """The vocabulary that a record holds under the key `text`; keys that are left out are None.

        Raises:
            OnnxplainError: the record is not of this form.
        """
        given = data if isinstance(data, dict) else {}
        known = {field.name for field in fields(cls)}
        unknown = sorted(given.keys() - known)
        _check(not unknown and "vocabulary" in given, f"missing vocabulary, or unknown keys {unknown}")
        words = given["vocabulary"]
        _check(
            isinstance(words, list) and all(isinstance(word, str) for word in words), "vocabulary is no list of words"
        )
        texts = [given.get(key) for key in known - {"vocabulary", "length"}]
        _check(all(text is None or isinstance(text, str) for text in texts), "names and tokens must be text, or null")
        _check(isinstance(given.get("length"), int | None), "length must be a whole number, or null")
        return cls(**{**given, "vocabulary": tuple(words)})

    def to_json(self) -> dict[str, Any]:
        """The record's `text`, for `from_json`."""
        return {**asdict(self), "vocabulary": list(self.vocabulary)}

    def out_of_vocabulary(self, text: str | Sequence[str]) -> list[str]:
        """The words that are not in the vocabulary."""
        return [word for word in _split(text) if word not in self.ids]

    def encode(self, text: str | Sequence[str], what: str = "text") -> list[int]:
        """The token ids of a text.

        Args:
            text: a text, or its words.
            what: what the text is, for error messages.

        Raises:
            UsageError: no words or too many, or one that is not in the vocabulary while that has no `unknown`.
        """
        words = _split(text)
        if not words:
            raise UsageError(f"the {what} is empty; write words such as {', '.join(self._examples()[:3])}")
        if self.length is not None and len(words) > self.length:
            raise UsageError(f"{what} too long: {len(words)} words, at most {self.length}")
        out_of_vocabulary = self.out_of_vocabulary(words)
        if out_of_vocabulary and self.unknown is None:
            raise UsageError(
                f"the {what} has the word {out_of_vocabulary[0]!r}, which the model does not know; "
                f"{closest(out_of_vocabulary[0], self._examples())}"
            )
        return [self.ids[self.unknown if word in out_of_vocabulary and self.unknown else word] for word in words]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The words of token ids.

        Raises:
            OnnxplainError: an id beyond the vocabulary.
        """
        ids, size = [int(index) for index in ids], len(self.vocabulary)
        beyond = [index for index in ids if not 0 <= index < size]
        if beyond:
            raise OnnxplainError(f"the model gives token {beyond[0]}, but its record names {size} words; {HELP}")
        return [self.vocabulary[index] for index in ids]

    def _examples(self) -> list[str]:
        """The words that are no special tokens."""
        special = {self.begin, self.end, self.pad, self.unknown}
        return [word for word in self.vocabulary if word not in special]


def _split(text: str | Sequence[str]) -> list[str]:
    return words_of(text) if isinstance(text, str) else list(text)


def _check(right: bool, problem: str) -> None:
    if not right:
        raise OnnxplainError(f"the record's text is not understood: {problem}; {HELP}")
