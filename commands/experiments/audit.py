"""The command `audit`: whether a classifier is equally accurate for groups of images, and where it looks if not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ...engine.audit.picture import MOST_ROWS, picture
from ...engine.audit.run import Subject, audit_images, require_classifier
from ...engine.audit.tables import audit_data, audit_report, confusion_csv, heat_csv, images_csv
from ...engine.audit.verdict import MARGIN
from ...engine.datasets.groups import GROUP, read_groups
from ...engine.datasets.mapping import ClassMapping, read_mapping
from ...engine.datasets.read import read_dataset
from ...engine.explainer import Explainer
from ...engine.images.files import atomic_write_bytes, write_image
from ...engine.records.arguments import pairs
from ...graph_rewrites.errors import OnnxplainError, UsageError
from ..shared.options import ImageFolder, Json, Layer, MappingFile, Method, Options, RunOptions, with_options
from ..shared.output import make_folder, note_assumption, report_all, screen, shortened, show, steps

PICTURE, RESULTS = "maps.png", "audit.json"


@with_options
def audit(
    chosen: RunOptions,
    model: Annotated[Path, typer.Argument(help="An ONNX file of a classifier.")],
    data: Annotated[
        Path, typer.Argument(help="A .csv with the columns image, label and group, or any data set with --groups.")
    ],
    against: Annotated[Path | None, typer.Option(help="Another model to audit and compare with the first.")] = None,
    images: ImageFolder = None,
    group: Annotated[str, typer.Option(help="The column that names each image's group.")] = GROUP,
    groups: Annotated[
        Path | None,
        typer.Option(help="A .csv with the columns image, group and, if DATA gives no class, label; default: DATA."),
    ] = None,
    mapping: MappingFile = None,
    of_true: Annotated[
        bool, typer.Option("--true-class", help="Explain the true class instead of the predicted one.")
    ] = False,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="Gaps in accuracy up to this size count as small.")
    ] = MARGIN,
    method: Method = "grad-cam",
    option: Options = None,
    layer: Layer = None,
    draw: Annotated[int, typer.Option(min=1, help="Maximum number of classes and groups in the picture.")] = MOST_ROWS,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("audit"),
    as_json: Json = False,
) -> None:
    """Check whether a classifier is equally accurate for groups of images, and where it looks if not."""
    dataset = read_dataset(data, images, further=True)
    of_images = read_groups(groups or data, dataset, group)
    given = read_mapping(mapping) if mapping else None
    subjects = {}
    for name, path in _names(model, against).items():
        explainer = Explainer(path, method=method, layers=layer, options=pairs(option, "option"), **chosen.arguments())
        require_classifier(explainer, name)
        subjects[name] = Subject(explainer, ClassMapping(explainer.labels, explainer.classes, given, mapping))
        note_assumption(explainer)
    failures: list[OnnxplainError] = []
    found = audit_images(
        subjects, dataset, of_images, of_true=of_true, inputs=chosen.inputs, on_error=failures.append, progress=steps
    )
    make_folder(output)
    write_image(output / PICTURE, picture(found, draw))
    texts = {"images.csv": images_csv(found), "confusion.csv": confusion_csv(found), "heat.csv": heat_csv(found)}
    result = {**audit_data(found, margin), "folder": str(output), "failures": [str(failure) for failure in failures]}
    texts[RESULTS] = json.dumps(result, ensure_ascii=False, indent=2)
    for name, text in texts.items():
        atomic_write_bytes(output / name, text.encode())
    show(result, audit_report(found, margin), as_json)
    if not as_json:
        screen.print(f"\n{len(found.records)} of {len(dataset)} images; {output}", markup=False)
    report_all(shortened(failures, output / RESULTS))


def _names(model: Path, against: Path | None) -> dict[str, Path]:
    """The models by their files' names, or by their paths where those are the same."""
    if against is None:
        return {model.stem: model}
    if model.resolve() == against.resolve():
        raise UsageError(f"{against}: is the same model; name another with --against")
    short: dict[str, Any] = {path.stem: path for path in (model, against)}
    return short if len(short) == 2 else {str(path): path for path in (model, against)}
