"""The command `explain`: overlay pictures of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..engine.drawing import Drawing, draw_on_ray
from ..engine.explainer import Explainer
from ..engine.records.arguments import pairs
from ..engine.records.tables import explanation_table, file_stem, row_of
from .shared.options import (
    Images,
    Json,
    MapOptions,
    Method,
    Model,
    Options,
    Ray,
    Targets,
    model_and_photos,
    with_options,
)
from .shared.output import make_folder, note_assumption, progress_over, report_all, show, steps


@with_options
def explain(
    chosen: MapOptions,
    model: Model = None,
    images: Images = None,
    target: Targets = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path("explanations"),
    method: Method = "grad-cam",
    option: Options = None,
    npy: Annotated[bool, typer.Option("--npy", help="Also write each heatmap as float32 .npy.")] = False,
    ray: Ray = False,
    as_json: Json = False,
) -> None:
    """Explain predictions: one overlay picture per image and class."""
    source, paths = model_and_photos(model, images)
    how = {"method": method, "options": pairs(option, "option"), **chosen.arguments()}
    explainer = Explainer(source, progress=steps, **how)
    inputs, with_layer = chosen.inputs, len(explainer.record["layers"]) > 1
    note_assumption(explainer)
    make_folder(output)
    if ray:
        drawing = Drawing(source, target, inputs, (".png", ".npy") if npy else (".png",), how)
        rows, failures = draw_on_ray(drawing, paths, output, with_layer, steps)
        show(rows, explanation_table(rows, explainer), as_json)
        return report_all(failures)

    failures = []
    rows, taken = [], set[str]()
    for explanation in explainer.explain_each(progress_over(paths, explainer), target, failures.append, inputs):
        stem = file_stem(explanation, taken, with_layer)
        explanation.save(output / f"{stem}.png")
        if npy:
            explanation.save(output / f"{stem}.npy")
        rows.append(row_of(explanation, output / f"{stem}.png"))
    show(rows, explanation_table(rows, explainer), as_json)
    report_all(failures)
