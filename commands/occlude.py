"""The command `occlude`: occlusion maps by patches of several sizes."""

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
        list[int] | None, typer.Option(help=f"Side of the patch in pixels; may be repeated; default: {PAPER_SIZES}.")
    ] = None,
    stride: Annotated[int, typer.Option(help="Pixels from patch to patch; default: a third of the patch.")] = 0,
    fill: Annotated[str, typer.Option(help="What covers: mean, zero or blur.")] = "mean",
    against: Annotated[
        str | None, typer.Option(help="A method, as grad-cam, to draw first and rank-correlate each map with.")
    ] = None,
    target: Targets = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("occlusion.png"),
    as_json: Json = False,
) -> None:
    """Draw how much the score drops where a patch covers the image, for patches of several sizes."""
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
