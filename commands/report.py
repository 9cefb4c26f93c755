"""The command `report`: images, predictions and maps as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..engine.render.report.report import write_report
from .shared.options import Images, Json, MapOptions, Model, Targets, method_names, model_and_photos, with_options
from .shared.output import notes, report_all, show, steps


@with_options
def report(
    chosen: MapOptions,
    model: Model = None,
    images: Images = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Page to write.")] = Path("report.html"),
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "--methods", help="Methods, comma-separated or repeated; default: grad-cam."),
    ] = None,
    target: Targets = None,
    as_json: Json = False,
) -> None:
    """Write an HTML page with every image, its predictions and maps, in one file."""
    source, paths = model_and_photos(model, images)
    written = write_report(
        source,
        paths,
        output,
        methods=method_names(method, ("grad-cam",)),
        target=target,
        inputs=chosen.inputs,
        progress=steps,
        **chosen.arguments(),
    )
    for note in written.notes:
        notes.print(f"note: {note}", markup=False)
    size = output.stat().st_size
    failures = [str(failure) for failure in written.failures]
    summary = {"path": str(output), "bytes": size, "images": written.images, "failures": failures}
    show(summary, f"{output}: {len(written.images)} of {len(paths)} images, {size / 1e6:.1f} MB", as_json)
    report_all(written.failures)
