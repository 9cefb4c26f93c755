"""The command `seeds`: localisation cues for weakly supervised segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ...engine import embedded
from ...engine.datasets.annotation import AnnotatedImage
from ...engine.datasets.dataset import Entry
from ...engine.datasets.mapping import ClassMapping, read_mapping
from ...engine.datasets.read import read_dataset
from ...engine.evaluation.maps import MethodMaps
from ...engine.experiments.seed_files import Numbering, classes_of, identity_of, write_seeds
from ...engine.experiments.seeds import SALIENCY, Seeder, SeedRules
from ...engine.experiments.tables import seeds_data, seeds_table
from ...engine.labels import read_labels
from ...engine.records.journal import fingerprint
from ...engine.targets import resolve_targets
from ...graph_rewrites.errors import UsageError
from ...graph_rewrites.model.metadata import VERSION
from ...graph_rewrites.model.model import parse
from ..shared.options import (
    Images,
    Json,
    Labels,
    Layer,
    MappingFile,
    Method,
    Model,
    PreprocessText,
    Providers,
    Score,
    Targets,
    model_and_photos,
)
from ..shared.output import make_folder, note_assumption, report_all, show, steps


def seeds(
    model: Model = None,
    images: Images = None,
    target: Targets = None,
    above: Annotated[float, typer.Option(min=0, max=1, help="Minimum probability of a target.")] = 0,
    annotations: Annotated[
        Path | None,
        typer.Option(help="Classes of each image (COCO, VOC, ImageNet, CSV); IMAGES is then the folder of the images."),
    ] = None,
    mapping: MappingFile = None,
    foreground: Annotated[
        float, typer.Option(min=0, max=1, help="Fraction of the map's maximum above which a cell belongs to the class.")
    ] = SeedRules.foreground,
    background: Annotated[
        float,
        typer.Option(min=0, max=1, help="Fraction of the cells, those with the lowest saliency, that are background."),
    ] = SeedRules.background,
    grid: Annotated[int, typer.Option(min=1, max=1000, help="Rows and columns of cells.")] = SeedRules.grid,
    method: Method = "grad-cam",
    layer: Layer = None,
    score: Score = None,
    preprocess: PreprocessText = None,
    labels: Labels = None,
    providers: Providers = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for seeds; if it has seeds of this run, the run resumes.")
    ] = Path("seeds"),
    as_json: Json = False,
) -> None:
    """Write seeds for weakly supervised segmentation: cells that almost certainly show a class or the background."""
    if annotations and (target or above):
        raise UsageError("the annotations define the classes of an image; omit --target and --above")
    if mapping and not annotations:
        raise UsageError("--mapping maps annotated classes; add --annotations")
    path = model or embedded.MODEL
    source = parse(path)
    maps = MethodMaps(
        source,
        list(dict.fromkeys((method, SALIENCY))),
        layer=layer,
        score=score,
        preprocess=preprocess,
        labels=read_labels(labels) if labels else None,
        providers=providers,
    )
    note_assumption(maps)
    rules = SeedRules(foreground, background, grid, above)
    if annotations:
        seeder, entries, numbering, asked = _annotated(maps, rules, annotations, images, mapping)
    else:
        _, paths = model_and_photos(model, images)
        entries = {str(path): partial(AnnotatedImage, path, ()) for path in paths}
        targets = resolve_targets(target, maps.labels, maps.classes)
        seeder, numbering, asked = (
            Seeder(maps, rules, targets),
            Numbering(range(maps.classes or 0)),
            {"targets": targets},
        )
    identity = identity_of(seeder, version=VERSION, model=f"{path.name} {fingerprint(source)}", **asked)
    make_folder(output)
    written = write_seeds(seeder, entries, output, numbering, identity, steps)
    show(seeds_data(written), seeds_table(written, rules), as_json)
    report_all(written.failures)


def _annotated(
    maps: MethodMaps, rules: SeedRules, annotations: Path, images: list[str] | None, mapping: Path | None
) -> tuple[Seeder, Mapping[str, Entry], Numbering, dict[str, Any]]:
    """The seeder for the annotated classes, the images, the numbering, and the identity of the run."""
    if len(images or ()) > 1:
        raise UsageError("with --annotations, give at most one folder of images")
    given = read_mapping(mapping) if mapping else None
    dataset = read_dataset(annotations, images[0] if images else None)
    classes = ClassMapping(maps.labels, maps.classes, given, mapping)
    if dataset.classes is not None:
        classes.check(dataset.classes)
    data = f"{dataset.kind} {dataset.path.name} {dataset.fingerprint}"
    seeder, numbering = Seeder(maps, rules, mapping=classes), Numbering(classes_of(dataset))
    return seeder, dataset.entries, numbering, {"annotations": data, "mapping": given}
