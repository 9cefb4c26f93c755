"""The command `evaluate`: how good a model's maps are on annotated images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ...engine.datasets.mapping import read_mapping
from ...engine.datasets.read import read_dataset
from ...engine.evaluation.distributed import measured_on_ray
from ...engine.evaluation.evaluator import Evaluator, Plan
from ...engine.evaluation.measures.perturbation import STEPS
from ...engine.evaluation.metrics import METRICS
from ...engine.evaluation.page import rank_metric, write_page
from ...engine.evaluation.run import RESULTS
from ...engine.evaluation.run import evaluate as evaluate_maps
from ...engine.evaluation.subject import TOLERANCE, Settings
from ...engine.evaluation.tables import evaluation_data, evaluation_table
from ...engine.labels import read_labels
from ...graph_rewrites.errors import OnnxplainError, UsageError
from ...graph_rewrites.targets.placement import RECEPTIVE_FIELD
from ..shared.options import (
    ImageFolder,
    Json,
    Labels,
    Layer,
    MappingFile,
    Methods,
    Placement,
    PreprocessText,
    Providers,
    Ray,
    Score,
    method_names,
)
from ..shared.output import make_folder, note_assumption, report_all, shortened, show, steps

DEFAULT_METRICS = ("localisation", "pointing", "energy")


def evaluate(
    model: Annotated[Path, typer.Argument(help="An ONNX file.")],
    data: Annotated[
        Path,
        typer.Argument(help="COCO .json, a VOC folder or a list in its ImageSets, ImageNet .xml or .csv, or a .csv."),
    ],
    images: ImageFolder = None,
    mapping: MappingFile = None,
    method: Methods = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "--metrics",
            help=f"Metrics, comma-separated or repeated: {', '.join(METRICS)}; default: {', '.join(DEFAULT_METRICS)}.",
        ),
    ] = None,
    layer: Layer = None,
    placement: Placement = RECEPTIVE_FIELD,
    crops: Annotated[int, typer.Option(help="1, or 10 to average over ten crops.")] = 1,
    tolerance: Annotated[
        float, typer.Option(help="Tolerance of the pointing game, in pixels of the image.")
    ] = TOLERANCE,
    curve_steps: Annotated[int, typer.Option("--steps", help="Steps of deletion and insertion.")] = STEPS,
    rank_by: Annotated[str | None, typer.Option(help="Metric that ranks the cases; default: the first.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read images ahead.")] = 2,
    ray: Ray = False,
    score: Score = None,
    preprocess: PreprocessText = None,
    labels: Labels = None,
    providers: Providers = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for results; if it has results of this run, the run resumes.")
    ] = Path("evaluation"),
    as_json: Json = False,
) -> None:
    """Measure how good maps are on annotated images, with published protocols."""
    if crops not in (1, 10) or curve_steps < 1 or not tolerance >= 0:
        raise UsageError("--crops must be 1 or 10, --steps at least 1 and --tolerance not negative")
    left_out: list[OnnxplainError] = []
    arguments: dict[str, Any] = {
        "layer": layer,
        "placement": placement,
        "score": score,
        "preprocess": preprocess,
        "labels": read_labels(labels) if labels else None,
        "providers": providers,
    }
    dataset = read_dataset(data, images)
    methods = method_names(method, ("grad-cam",))
    plan = Plan(
        model,
        methods,
        method_names(metric, DEFAULT_METRICS),
        crops=crops,
        mapping=read_mapping(mapping) if mapping else None,
        mapping_file=mapping,
        settings=Settings(tolerance, curve_steps),
        arguments=arguments,
    )
    evaluator = Evaluator(plan, left_out.append if len(methods) > 1 else None)
    rank_metric(evaluator.metrics, rank_by)  # what does not fit is an error now, not at the end
    evaluator.check(dataset)
    note_assumption(evaluator.maps)
    make_folder(output)
    elsewhere = partial(measured_on_ray, evaluator, plan) if ray else None
    found = evaluate_maps(evaluator, dataset, output, measure=elsewhere, workers=workers, progress=steps)
    page = write_page(found, evaluator, dataset, rank_by=rank_by)
    show(evaluation_data(found) | {"page": str(page)}, evaluation_table(found, evaluator.metrics), as_json)
    report_all([*left_out, *shortened(found.failures, output / RESULTS)])
