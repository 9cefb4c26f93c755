"""Captions and answers as tables for people, and as plain JSON types for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from ..records.tables import row_of
from .captions import Caption
from .questions import Answers

Value = TypeVar("Value")


def caption_data(captions: Mapping[str, Caption], image: Path, picture: Path) -> dict[str, Any]:
    """One caption by method, as plain JSON types; probabilities as natural logarithms."""
    caption = _first(captions)
    pairs = zip(caption.words, caption.log_probabilities, strict=True)
    return {
        "image": str(image),
        "caption": caption.text,
        "log_probability": caption.log_probability,
        "words": [{"word": word, "log_probability": value} for word, value in pairs],
        "explanations": [row_of(one, picture) for found in captions.values() for one in found.explanations],
        "picture": str(picture),
    }


def caption_table(captions: Mapping[str, Caption], picture: Path) -> Group:
    """The words of a caption with their probabilities."""
    caption = _first(captions)
    table = Table("", "word", "log-probability", "probability", title=escape(caption.text))
    for place, (word, value) in enumerate(zip(caption.words, caption.log_probabilities, strict=True), 1):
        table.add_row(str(place), escape(word), f"{value:.3f}", f"{math.exp(value):.3g}")
    table.add_section()
    table.add_row("", "sentence", f"{caption.log_probability:.3f}", f"{math.exp(caption.log_probability):.3g}")
    return Group(table, f"{', '.join(captions)}: {escape(str(picture))}")


def answer_data(answers: Mapping[str, Mapping[str, Answers]], image: Path, picture: Path) -> dict[str, Any]:
    """The answers to one question by model and method, as plain JSON types."""
    return {
        "image": str(image),
        "question": _first(_first(answers)).question,
        "models": [
            {
                "model": model,
                "answers": [answer._asdict() for answer in _first(methods).answers],
                "explanations": [row_of(one, picture) for found in methods.values() for one in found.explanations],
            }
            for model, methods in answers.items()
        ],
        "picture": str(picture),
    }


def answer_table(answers: Mapping[str, Mapping[str, Answers]], picture: Path) -> Group:
    """The most probable answers of each model; those explained are marked."""
    table = Table("model", "", "answer", "score", "share", title=escape(_first(_first(answers)).question))
    for model, methods in answers.items():
        explained = {one.label for found in methods.values() for one in found.explanations}
        for index, answer in enumerate(_first(methods).answers):
            mark = "*" if answer.text in explained else ""
            share = "" if answer.probability is None else f"{answer.probability:.1%}"
            table.add_row("" if index else escape(model), mark, escape(answer.text), f"{answer.score:.3f}", share)
        table.add_section()
    return Group(table, f"* explained by {', '.join(_first(answers))}: {escape(str(picture))}")


def _first(values: Mapping[str, Value]) -> Value:
    return next(iter(values.values()))
