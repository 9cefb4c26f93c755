"""The command `caption`: a caption of an image, and maps of the caption and its words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..engine.images.files import write_image
from ..engine.language.comparison import PAPER_METHODS, caption_picture, captions_by_method
from ..engine.language.tables import caption_data, caption_table
from ..graph_rewrites.errors import OnnxplainError
from .shared.options import Json, Layers, Methods, Photo, PreprocessText, Providers, method_names
from .shared.output import report_all, show, steps


def caption(
    model: Annotated[
        Path, typer.Argument(help="A captioner: an ONNX file that maps image and token ids to word scores.")
    ],
    image: Photo,
    text: Annotated[
        str | None, typer.Option("--caption", help="Caption to explain; default: the one that the model generates.")
    ] = None,
    decoder: Annotated[
        Path | None, typer.Option(help="An ONNX file that generates whole captions; default: the model, word by word.")
    ] = None,
    method: Methods = None,
    layer: Layers = None,
    preprocess: PreprocessText = None,
    providers: Providers = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write.")] = Path("caption.png"),
    as_json: Json = False,
) -> None:
    """Caption an image, and draw where the model saw the caption and each word."""
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
