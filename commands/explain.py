"""The command `explain`: overlay pictures of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..engine.drawing import Drawing
from ..engine.explainer import Explainer
from ..engine.folder import explain_folder
from ..engine.multi_pass.registry import MULTI_PASS, silent
from ..engine.records.arguments import pairs
from ..engine.records.tables import explanation_table
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
from .shared.output import make_folder, note_assumption, notes, report_all, show, steps


@with_options
def explain(
    chosen: MapOptions,
    model: Model = None,
    images: Images = None,
    target: Targets = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the pictures; an interrupted run resumes there.")
    ] = Path("explanations"),
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
    note_assumption(explainer)
    make_folder(output)
    drawing = Drawing(source, target, chosen.inputs, (".png", ".npy") if npy else (".png",), how)
    written = explain_folder(
        drawing,
        explainer,
        paths,
        output,
        draw=drawing.on_ray if ray else None,
        anew=not ray,  # results that took a cluster are not given up for others
        tell=lambda note: notes.print(f"note: {note}", markup=False),
        progress=steps if ray or explainer.method not in MULTI_PASS else silent,  # passes over an image have a bar
    )
    show(written.rows, explanation_table(written.rows, explainer), as_json)
    report_all(written.failures)
