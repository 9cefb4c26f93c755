"""The commands for the experiments of the Grad-CAM paper on one's own model and images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .cli_options import (
    Image,
    Images,
    Json,
    Layers,
    Method,
    Model,
    Options,
    Rules,
    RunOptions,
    Targets,
    model_and_photo,
    model_and_photos,
    with_options,
)
from .cli_output import notes, report_all, show, steps
from .engine.arguments import pairs
from .engine.experiments.ablation import Case, ablations
from .engine.experiments.ablation import ablate as ablate_cases
from .engine.experiments.depth import sweep as sweep_layers
from .engine.experiments.tables import ablation_data, ablation_table, sweep_data, sweep_table
from .engine.images import write_image
from .graph_rewrites.errors import OnnxplainError


@with_options
def ablate(
    chosen: RunOptions,
    model: Model = None,
    images: Images = None,
    target: Targets = None,
    layer: Layers = None,
    draw: Annotated[int, typer.Option(min=1, help="How many rows the picture has at most.")] = 8,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("ablation.png"),
    as_json: Json = False,
) -> None:
    """Change one part of Grad-CAM at a time: without ReLU, other gradients, pooling and backward rules."""
    source, paths = model_and_photos(model, images)
    left_out: list[str] = []
    failures: list[OnnxplainError] = []
    explainers = ablations(source, left_out.append, layers=layer, **chosen.arguments())
    if len(paths) > draw:
        notes.print(f"note: the first {draw} of {len(paths)} images are drawn; see --draw")
    cases = (Case(path, target) for path in steps(paths[:draw], len(paths[:draw])))
    found = ablate_cases(explainers, cases, inputs=chosen.inputs, draw=draw, on_error=failures.append)
    write_image(output, found.picture())
    for note in left_out:
        notes.print(f"note: {note}", markup=False)
    show(ablation_data(found, output), ablation_table(found, output), as_json)
    report_all(failures)


@with_options
def sweep(
    chosen: RunOptions,
    model: Model = None,
    image: Image = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer", "--layers", help="Layers; may be repeated; blocks: the ends of residual blocks; default: all."
        ),
    ] = None,
    method: Method = "grad-cam",
    option: Options = None,
    rules: Rules = None,
    target: Annotated[str | None, typer.Option("--target", "-t", help="Class index, label, or top1.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("sweep.png"),
    as_json: Json = False,
) -> None:
    """Explain one prediction at every layer in one go: pictures, agreement by depth, time and memory."""
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
