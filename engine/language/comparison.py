"""Captions and answers by several methods and models, as one picture: a column for each method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ...graph_rewrites.model.model import ParsedModel, parse
from ..compare import Comparison, by_method
from ..explanation import Explanation
from ..images.files import Image, read_image
from ..images.preprocess import Preprocess
from ..render.contact_sheet import contact_sheet
from .captions import Caption, Captioner
from .decoding import GreedyDecoder
from .questions import Answerer, Answers
from .text_model import AnswererModel, CaptionerModel

# Figures A2 and A3 of Selvaraju et al. 2017, "Grad-CAM", appendix.
PAPER_METHODS = ("grad-cam", "guided-backprop", "guided-grad-cam")
SENTENCE = "sentence"

OnError = Callable[[OnnxplainError], None] | None


def captions_by_method(
    model: Path,
    image: Path,
    caption: str | None = None,
    *,
    methods: Sequence[str] = PAPER_METHODS,
    decoder: Path | None = None,
    preprocess: Preprocess | str | None = None,
    providers: Sequence[str] | None = None,
    on_error: OnError = None,
    **arguments: Any,
) -> dict[str, Caption]:
    """One caption of an image, explained by several methods.

    Args:
        model: a captioner.
        image: the image.
        caption: the caption; default: the one that the model, or the decoder, writes.
        methods: methods by name.
        decoder: as in `Captioner`.
        preprocess: as in `Captioner`.
        providers: as in `Captioner`.
        on_error: called for a method that the model does not allow, which is then left out; default: it is raised.
        arguments: further arguments of `Explainer`.

    Raises:
        UsageError, OnnxplainError: as `Captioner`, or a caption given while there is a decoder to write it.
    """
    if caption is not None and decoder is not None:
        raise UsageError(f"a caption is given, so {decoder} has none to write; leave --caption or --decoder out")
    read_image(image)  # what is wrong with it, or with the words, is no method's fault
    source = parse(model)
    vocabulary = CaptionerModel(source).vocabulary
    running: dict[str, Any] = {"preprocess": preprocess, "providers": providers}
    words = GreedyDecoder(source, decoder, **running)(image) if caption is None else caption
    vocabulary.encode(words, "caption")
    return by_method(
        methods, lambda method: Captioner(source, method=method, **running, **arguments)(image, words), on_error
    )


def answers_by_model(
    models: Sequence[Path],
    image: Path,
    question: str,
    answers: Sequence[str] | None = None,
    *,
    methods: Sequence[str] = PAPER_METHODS,
    on_error: OnError = None,
    **arguments: Any,
) -> dict[str, dict[str, Answers]]:
    """The answers of models to one question, explained by several methods: by the model's short name and the method.

    Args:
        models: question answerers.
        image: the image.
        question: the question.
        answers: the answers to explain; default: the most probable one of each model.
        methods: methods by name.
        on_error: called for a method that a model does not allow, which is then left out; default: it is raised.
        arguments: further arguments of `Explainer`, the same for all models.

    Raises:
        UsageError, OnnxplainError: as `Answerer`.
    """
    read_image(image)  # what is wrong with it, or with the question, is no method's fault
    found = {}
    for name, path in short_names(models).items():
        source = parse(path)
        AnswererModel(source).vocabulary.encode(question, "question")

        def answered(method: str, source: ParsedModel = source) -> Answers:
            return Answerer(source, method=method, **arguments)(image, question, answers)

        found[name] = by_method(methods, answered, on_error)
    return found


def caption_picture(captions: Mapping[str, Caption]) -> Image:
    """One caption by method: a row for the sentence and one for each word, with the logarithm of its probability.

    Returns:
        uint8 [H, W, 3] RGB.
    """
    cells = {
        (f"{one.target} {one.label}" if one.target else SENTENCE, column): one
        for column, one in _columns((method, caption.explanations) for method, caption in captions.items())
    }
    heading = next(iter(captions.values())).text
    return contact_sheet(_table(cells), heading=heading, photos=True, describe=_with_logarithm)


def answer_picture(answers: Mapping[str, Mapping[str, Answers]]) -> Image:
    """The answers to one question, by model and method: a row for each model and answer.

    Returns:
        uint8 [H, W, 3] RGB.
    """
    cells = {
        (f"{model}: {one.label}", column): one
        for model, methods in answers.items()
        for column, one in _columns((method, found.explanations) for method, found in methods.items())
    }
    heading = next(found.question for methods in answers.values() for found in methods.values())
    return contact_sheet(_table(cells), heading=heading, photos=True, describe=_with_share)


def short_names(paths: Iterable[Path]) -> dict[str, Path]:
    """Files, each once, by the shortest ends of their paths that tell them apart; .onnx goes without saying."""
    files = {path.resolve(): path for path in paths}
    count = 1
    while len({path.parts[-count:] for path in files}) < len(files):
        count += 1
    return {"/".join(whole.parts[-count:]).removesuffix(".onnx"): given for whole, given in files.items()}


def _columns(methods: Iterable[tuple[str, list[Explanation]]]) -> Iterable[tuple[str, Explanation]]:
    """The explanations with the columns that they stand in: a method, or a method at one of several layers."""
    for method, explanations in methods:
        several = len({one.layer for one in explanations}) > 1
        for one in explanations:
            yield f"{method} | {one.layer}" if several else method, one


def _table(cells: dict[tuple[str, str], Explanation]) -> Comparison:
    rows, columns = (list(dict.fromkeys(key[axis] for key in cells)) for axis in (0, 1))
    return Comparison(rows, columns, cells)


def _with_logarithm(word: Explanation) -> str:
    """The word and the logarithm of its probability."""
    return f"{word.label if word.target else SENTENCE} {word.score:.2f}"


def _with_share(answer: Explanation) -> str:
    """The answer and its probability; its score where that is not known."""
    sure = f"{answer.score:.2f}" if answer.probability is None else f"{answer.probability:.1%}"
    return f"{answer.label} {sure}"
