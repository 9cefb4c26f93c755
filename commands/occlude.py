"""The command `occlude`: occlusion maps with patches of several sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..engine.experiments.occlusion_sizes import described, occlusion_sizes
from ..engine.multi_pass.occlusion import PAPER_SIZES
from .shared.options import Image, Json, Model, RunOptions, Targets, model_and_photo, with_options
from .shared.output import save_comparison, steps


@with_options
def occlude(
    chosen: RunOptions,
    model: Model = None,
    image: Image = None,
    size: Annotated[
        list[int] | None, typer.Option(help=f"Side of the patch in pixels; repeatable; default: {PAPER_SIZES}.")
    ] = None,
    stride: Annotated[int, typer.Option(help="Pixels between patches; default: a third of the patch.")] = 0,
    fill: Annotated[str, typer.Option(help="Fill of the patch: mean, zero or blur.")] = "mean",
    against: Annotated[
        str | None,
        typer.Option(help="A method, such as grad-cam, to draw first and correlate each map with (rank correlation)."),
    ] = None,
    target: Targets = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write.")] = Path("occlusion.png"),
    as_json: Json = False,
) -> None:
    """Draw how much the score drops when a patch covers the image, for several patch sizes."""
    comparison = occlusion_sizes(
        *model_and_photo(model, image),
        size or PAPER_SIZES,
        against=against,
        options={"stride": stride, "fill": fill},
        target=target,
        inputs=chosen.inputs,
        progress=steps,
        **chosen.arguments(),
    )
    save_comparison(comparison, output, as_json, described)
