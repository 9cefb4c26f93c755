"""The command `ablate`: Grad-CAM with one part changed at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...engine import embedded
from ...engine.datasets.dataset import Dataset
from ...engine.datasets.mapping import ClassMapping, read_mapping
from ...engine.datasets.read import read_dataset
from ...engine.experiments.ablation import Case, ablations, annotated_cases
from ...engine.experiments.ablation import ablate as ablate_cases
from ...engine.experiments.tables import ablation_data, ablation_table
from ...engine.images.files import write_image
from ...graph_rewrites.errors import OnnxplainError, UsageError
from ..shared.options import (
    Images,
    Json,
    Layers,
    MappingFile,
    Model,
    RunOptions,
    Targets,
    model_and_photos,
    with_options,
)
from ..shared.output import note_assumption, notes, report_all, show, steps


@with_options
def ablate(
    chosen: RunOptions,
    model: Model = None,
    images: Images = None,
    target: Targets = None,
    layer: Layers = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="Boxes or masks for metrics (COCO, VOC, ImageNet, CSV); IMAGES is then the folder of the images."
        ),
    ] = None,
    mapping: MappingFile = None,
    draw: Annotated[int, typer.Option(min=1, help="Maximum number of rows in the picture.")] = 8,
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write.")] = Path("ablation.png"),
    as_json: Json = False,
) -> None:
    """Change one part of Grad-CAM at a time: no ReLU, other gradients, pooling or backward rules."""
    source, paths = (model or embedded.MODEL, []) if annotations else model_and_photos(model, images)
    dataset = _annotated(annotations, images, target) if annotations else None
    left_out: list[str] = []
    failures: list[OnnxplainError] = []
    explainers = ablations(source, left_out.append, layers=layer, **chosen.arguments())
    explainer = next(iter(explainers.values()))
    note_assumption(explainer)
    if dataset is None:
        cases = [Case(path, target) for path in paths[:draw]]
    else:
        classes = ClassMapping(explainer.labels, explainer.classes, read_mapping(mapping) if mapping else None, mapping)
        cases = list(annotated_cases(dataset, classes, failures.append))
    found = ablate_cases(
        explainers, steps(cases, len(cases)), inputs=chosen.inputs, draw=draw, on_error=failures.append
    )
    write_image(output, found.picture())
    if len(paths) > draw:
        notes.print(f"note: only the first {draw} of {len(paths)} images are drawn; see --draw")
    for note in left_out:
        notes.print(f"note: {note}", markup=False)
    show(ablation_data(found, output), ablation_table(found, output), as_json)
    report_all(failures)


def _annotated(annotations: Path, images: list[str] | None, target: list[str] | None) -> Dataset:
    """The data set; its classes are the targets."""
    if target:
        raise UsageError("the annotations define the classes to explain; omit --target or --annotations")
    if len(images or ()) > 1:
        raise UsageError("with --annotations, give at most one folder of images")
    return read_dataset(annotations, images[0] if images else None)
