"""The command `compare`: the maps of several methods side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..engine.compare import compare as compare_methods
from ..graph_rewrites.errors import OnnxplainError
from .shared.options import (
    Image,
    Json,
    MapOptions,
    Methods,
    Model,
    Targets,
    method_names,
    model_and_photo,
    with_options,
)
from .shared.output import report_all, save_comparison, steps

PAPER_METHODS = ("grad-cam", "guided-backprop", "guided-grad-cam", "deconvnet", "c-mwp", "occlusion")


@with_options
def compare(
    chosen: MapOptions,
    model: Model = None,
    image: Image = None,
    method: Methods = None,
    target: Targets = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write.")] = Path("comparison.png"),
    as_json: Json = False,
) -> None:
    """Draw methods x layers, or methods x classes, of one image in one picture."""
    names = method_names(method, PAPER_METHODS)
    failures: list[OnnxplainError] = []
    comparison = compare_methods(
        *model_and_photo(model, image),
        methods=names,
        target=target,
        inputs=chosen.inputs,
        on_error=failures.append if len(names) > 1 else None,
        progress=steps,
        **chosen.arguments(),
    )
    save_comparison(comparison, output, as_json)
    report_all(failures)
