"""The command `vqa`: answers to a question about an image, and where models saw them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..engine.images.files import write_image
from ..engine.labels import read_labels
from ..engine.language.comparison import PAPER_METHODS, answer_picture, answers_by_model
from ..engine.language.tables import answer_data, answer_table
from ..graph_rewrites.errors import OnnxplainError
from .shared.options import Json, Labels, Layers, Methods, Photo, PreprocessText, Providers, Score, method_names
from .shared.output import notes, report_all, show, steps


def vqa(
    model: Annotated[
        Path, typer.Argument(help="A question answerer: an ONNX file that maps image and question to answers.")
    ],
    image: Photo,
    question: Annotated[str, typer.Argument(help="The question, in words of the model's vocabulary.")],
    answer: Annotated[
        list[str] | None, typer.Option(help="Answer to explain; repeatable; default: the most probable one.")
    ] = None,
    beside: Annotated[list[Path] | None, typer.Option(help="Another model to draw below; repeatable.")] = None,
    method: Methods = None,
    layer: Layers = None,
    score: Score = None,
    preprocess: PreprocessText = None,
    labels: Labels = None,
    providers: Providers = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write.")] = Path("vqa.png"),
    as_json: Json = False,
) -> None:
    """Answer a question about an image with one or more models, and draw where they saw the answer."""
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
        for word in next(iter(found.values())).out_of_vocabulary:
            notes.print(f"note: {name} does not know {word!r} and reads it as an unknown word", markup=False)
    show(answer_data(answers, image, output), answer_table(answers, output), as_json)
    report_all(failures)
