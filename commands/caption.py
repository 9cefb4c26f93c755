"""The commands for models that speak: captions of images, and answers to questions on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..engine.images.files import write_image
from ..engine.labels import read_labels
from ..engine.language.comparison import (
    PAPER_METHODS,
    answer_picture,
    answers_by_model,
    caption_picture,
    captions_by_method,
)
from ..engine.language.tables import answer_data, answer_table, caption_data, caption_table
from ..graph_rewrites.errors import OnnxplainError
from .shared.options import Json, Labels, Layers, Methods, PreprocessText, Providers, Score, method_names
from .shared.output import notes, report_all, show, steps

Picture = Annotated[Path, typer.Argument(help="An image.")]


def caption(
    model: Annotated[Path, typer.Argument(help="A captioner: an ONNX file, image and token ids to scores of words.")],
    image: Picture,
    text: Annotated[
        str | None, typer.Option("--caption", help="The caption to explain; default: the one that the model writes.")
    ] = None,
    decoder: Annotated[
        Path | None, typer.Option(help="An ONNX file that writes whole captions; default: the model, word by word.")
    ] = None,
    method: Methods = None,
    layer: Layers = None,
    preprocess: PreprocessText = None,
    providers: Providers = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("caption.png"),
    as_json: Json = False,
) -> None:
    """Caption an image, and draw where the model saw the sentence and each of its words."""
    names = method_names(method, PAPER_METHODS)
    failures: list[OnnxplainError] = []
    captions = captions_by_method(
        model,
        image,
        text,
        methods=names,
        decoder=decoder,
        layers=layer,
        preprocess=preprocess,
        providers=providers,
        progress=steps,
        on_error=failures.append if len(names) > 1 else None,
    )
    write_image(output, caption_picture(captions))
    show(caption_data(captions, image, output), caption_table(captions, output), as_json)
    report_all(failures)


def vqa(
    model: Annotated[Path, typer.Argument(help="A question answerer: an ONNX file, image and question to answers.")],
    image: Picture,
    question: Annotated[str, typer.Argument(help="The question, in words that the model knows.")],
    answer: Annotated[
        list[str] | None, typer.Option(help="An answer to explain; may be repeated; default: the most probable one.")
    ] = None,
    beside: Annotated[
        list[Path] | None, typer.Option(help="Another model, to be drawn below; may be repeated.")
    ] = None,
    method: Methods = None,
    layer: Layers = None,
    score: Score = None,
    preprocess: PreprocessText = None,
    labels: Labels = None,
    providers: Providers = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("vqa.png"),
    as_json: Json = False,
) -> None:
    """Answer a question on an image by one or several models, and draw where they saw the answer."""
    names = method_names(method, PAPER_METHODS)
    failures: list[OnnxplainError] = []
    answers = answers_by_model(
        [model, *(beside or [])],
        image,
        question,
        answer,
        methods=names,
        layers=layer,
        score=score,
        preprocess=preprocess,
        labels=read_labels(labels) if labels else None,
        providers=providers,
        progress=steps,
        on_error=failures.append if len(names) > 1 else None,
    )
    write_image(output, answer_picture(answers))
    for name, found in answers.items():
        for word in next(iter(found.values())).strangers:
            notes.print(f"note: {name} does not know {word!r} and reads it as an unknown word", markup=False)
    show(answer_data(answers, image, output), answer_table(answers, output), as_json)
    report_all(failures)
