"""The command `sweep`: one prediction explained at every layer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...engine.experiments.depth import sweep as sweep_layers
from ...engine.experiments.tables import sweep_data, sweep_table
from ...engine.images.files import write_image
from ...engine.records.arguments import pairs
from ..shared.options import Image, Json, Method, Model, Options, Rules, RunOptions, model_and_photo, with_options
from ..shared.output import show


@with_options
def sweep(
    chosen: RunOptions,
    model: Model = None,
    image: Image = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer", "--layers", help="Layers; repeatable; blocks: the ends of residual blocks; default: all."
        ),
    ] = None,
    method: Method = "grad-cam",
    option: Options = None,
    rules: Rules = None,
    target: Annotated[str | None, typer.Option("--target", "-t", help="Class index, label, or top1.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write.")] = Path("sweep.png"),
    as_json: Json = False,
) -> None:
    """Explain one prediction at every layer in one run: pictures, agreement by depth, time and memory."""
    source, photo = model_and_photo(model, image)
    found = sweep_layers(
        source,
        photo,
        layers=layer,
        method=method,
        rules=rules,
        options=pairs(option, "option"),
        target=target,
        inputs=chosen.inputs,
        **chosen.arguments(),
    )
    write_image(output, found.picture())
    show(sweep_data(found, output), sweep_table(found, output), as_json)
