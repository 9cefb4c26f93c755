"""The command line: parses options, calls the engine, prints. Exit codes: 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table

from . import __version__
from .engine import embedded
from .engine.arguments import pairs, read_inputs
from .engine.certificate import SIDE, Certificate, certify
from .engine.compare import Comparison
from .engine.compare import compare as compare_methods
from .engine.contact_sheet import contact_sheet
from .engine.explainer import Explainer
from .engine.images import find_images, write_image
from .engine.labels import read_labels
from .engine.many_runs.occlusion import PAPER_SIZES
from .engine.many_runs.registry import MANY_RUNS
from .engine.plugins import load_plugin
from .engine.preprocess import parse_preprocess
from .engine.tables import explanation_table, file_stem, operator_table, row_of
from .graph_rewrites.errors import OnnxplainError, UsageError
from .graph_rewrites.metadata import add_metadata, read_metadata
from .graph_rewrites.methods.registry import METHODS
from .graph_rewrites.model_file import save
from .graph_rewrites.rewrite import OUTPUTS, layers, rewrite

app = typer.Typer(
    help="Explains the predictions of exported ONNX models. Without a model, commands use the embedded one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
screen, notes = Console(), Console(stderr=True)
PAPER_METHODS = ("grad-cam", "guided-backprop", "guided-grad-cam", "deconvnet", "c-mwp", "occlusion")

Model = Annotated[Path | None, typer.Argument(help="An ONNX file; default: the embedded EfficientNet-Lite0.")]
ALL_METHODS = (*METHODS, *MANY_RUNS)
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", "--layers", help="Layer to explain, or all; may be repeated; default: the last one."),
]
Score = Annotated[
    str | None,
    typer.Option(help="What is explained: an output, an expression as max(boxes[:, 4:], axis=2), or an .onnx file."),
]
Method = Annotated[str, typer.Option(help=f"One of {', '.join(ALL_METHODS)}.")]
Rules = Annotated[str | None, typer.Option(help="Backward rules: standard, guided, deconvnet, mwp, or your own.")]
Options = Annotated[
    list[str] | None, typer.Option("--option", help="An option of the method, name=value; may be repeated.")
]
Inputs = Annotated[
    list[str] | None, typer.Option("--input", help="A further input, name=file (.npy, or a picture as a mask).")
]
Labels = Annotated[Path | None, typer.Option(help="Class names: a text file, one a line, or a JSON list.")]
Targets = Annotated[
    list[str] | None, typer.Option("--target", "-t", help="Class index, label, top1, top5 ...; may be repeated.")
]
PreprocessText = Annotated[
    str | None,
    typer.Option("--preprocess", help="A preset (imagenet, tf, caffe, raw, uint8), or preset,name=value,..."),
]
Providers = Annotated[
    list[str] | None, typer.Option("--providers", help="cpu, cuda ...; default: cuda where it is usable, else cpu.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Image = Annotated[Path | None, typer.Argument(help="An image; default: the embedded photo.")]


@app.command()
def explain(
    model: Model = None,
    images: Annotated[
        list[str] | None, typer.Argument(help="Images, folders or globs; default: the embedded photo.")
    ] = None,
    target: Targets = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path("explanations"),
    layer: Layers = None,
    method: Method = "grad-cam",
    option: Options = None,
    rules: Rules = None,
    score: Score = None,
    further: Inputs = None,
    preprocess: PreprocessText = None,
    labels: Labels = None,
    providers: Providers = None,
    npy: Annotated[bool, typer.Option("--npy", help="Also write each heatmap as float32 .npy.")] = False,
    as_json: Json = False,
) -> None:
    """Explain predictions: one overlay picture per image and class."""
    if model is not None and not images:
        raise UsageError("no images given; add images, folders or globs after the model")
    paths = find_images(images) if images else [embedded.PHOTO]
    explainer = Explainer(
        model or embedded.MODEL,
        method=method,
        layers=layer,
        rules=rules,
        score=score,
        preprocess=preprocess,
        labels=read_labels(labels) if labels else None,
        providers=providers,
        options=pairs(option, "option"),
        progress=_steps,
    )
    inputs = read_inputs(further)
    _note_assumption(explainer)
    _make_folder(output)

    failures: list[OnnxplainError] = []
    rows, taken = [], set[str]()
    for explanation in explainer.explain_each(_progress(paths, explainer), target, failures.append, inputs):
        stem = file_stem(explanation, taken, len(explainer.record["layers"]) > 1)
        explanation.save(output / f"{stem}.png")
        if npy:
            explanation.save(output / f"{stem}.npy")
        rows.append(row_of(explanation, output / f"{stem}.png"))
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        screen.print(explanation_table(rows, explainer))
    _report_all(failures)


@app.command()
def compare(
    model: Model = None,
    image: Image = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "--methods", help="Methods, by comma or repeated; default: those of the paper."),
    ] = None,
    layer: Layers = None,
    target: Targets = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("comparison.png"),
    rules: Rules = None,
    score: Score = None,
    further: Inputs = None,
    preprocess: PreprocessText = None,
    labels: Labels = None,
    providers: Providers = None,
    as_json: Json = False,
) -> None:
    """Draw methods x layers, or methods x classes, of one image in one picture."""
    names = [name.strip() for text in method or PAPER_METHODS for name in text.split(",")]
    failures: list[OnnxplainError] = []
    comparison = compare_methods(
        *_model_and_photo(model, image),
        methods=names,
        layers=layer,
        target=target,
        inputs=read_inputs(further),
        on_error=failures.append if len(names) > 1 else None,
        rules=rules,
        score=score,
        preprocess=preprocess,
        labels=read_labels(labels) if labels else None,
        providers=providers,
        progress=_steps,
    )
    _save_comparison(comparison, output, as_json)
    _report_all(failures)


@app.command()
def occlude(
    model: Model = None,
    image: Image = None,
    size: Annotated[
        list[int] | None, typer.Option(help=f"Side of the patch in pixels; may be repeated; default: {PAPER_SIZES}.")
    ] = None,
    stride: Annotated[int, typer.Option(help="Pixels from patch to patch; default: a third of the patch.")] = 0,
    fill: Annotated[str, typer.Option(help="What covers: mean, zero or blur.")] = "mean",
    target: Targets = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("occlusion.png"),
    score: Score = None,
    further: Inputs = None,
    preprocess: PreprocessText = None,
    labels: Labels = None,
    providers: Providers = None,
    as_json: Json = False,
) -> None:
    """Draw how much the score drops where a patch covers the image, for patches of several sizes."""
    inputs, names = read_inputs(further), read_labels(labels) if labels else None
    rows = {
        f"{side} pixels": compare_methods(
            *_model_and_photo(model, image),
            methods=["occlusion"],
            target=target,
            inputs=inputs,
            options={"size": side, "stride": stride, "fill": fill},
            score=score,
            preprocess=preprocess,
            labels=names,
            providers=providers,
            progress=_steps,
        )
        for side in dict.fromkeys(size or PAPER_SIZES)
    }
    _save_comparison(Comparison.stacked(rows), output, as_json)


@app.command("layers")
def list_layers(model: Model = None, score: Score = None, as_json: Json = False) -> None:
    """List the layers that can be explained."""
    found = layers(model or embedded.MODEL, score=score)
    if as_json:
        print(json.dumps([asdict(layer) for layer in found], indent=2))
        return
    table = Table("", "layer", "made by", "shape", title=f"{len(found)} layers")
    for layer in found:
        shape = " x ".join("?" if size is None else str(size) for size in layer.shape)
        table.add_row("*" if layer.is_default else "", layer.name, layer.op_type, shape)
    screen.print(table)
    screen.print("* the default")


@app.command("rewrite")
def rewrite_model(
    model: Model = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The explained model to write.")] = Path(
        "explained.onnx"
    ),
    layer: Layers = None,
    method: Method = "grad-cam",
    option: Options = None,
    rules: Rules = None,
    score: Score = None,
    outputs: Annotated[
        list[str] | None, typer.Option("--outputs", help=f"Outputs to compute: {', '.join(OUTPUTS)}; may be repeated.")
    ] = None,
    preprocess: PreprocessText = None,
    labels: Labels = None,
    as_json: Json = False,
) -> None:
    """Write the explained model: the same model, with the explanation as further outputs."""
    recorded = parse_preprocess(preprocess).to_json() if preprocess else None
    names = read_labels(labels) if labels else None
    start = time.perf_counter()
    explained = rewrite(
        model or embedded.MODEL,
        method=method,
        layers=layer,
        rules=rules,
        score=score,
        outputs=outputs,
        options=pairs(option, "option"),
    )
    add_metadata(explained, preprocessing=recorded, labels=names)
    save(explained, output)
    record = read_metadata(explained) or {}
    before, after = (model or embedded.MODEL).stat().st_size, output.stat().st_size
    summary = {
        "path": str(output),
        "bytes": after,
        "growth": after / before - 1,
        "seconds": round(time.perf_counter() - start, 3),
        "layers": record["layers"],
        "names": record["names"],
    }
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        screen.print(f"{output}: explains {', '.join(record['layers']) or record['input']['name']} with {method}")
        screen.print(f"adds {', '.join(record['names'].values())}; {after:,} bytes ({summary['growth']:+.2%})")


@app.command()
def check(
    model: Model = None,
    layer: Annotated[str | None, typer.Option("--layer", help="Layer; default: the last convolutional one.")] = None,
    score: Score = None,
    providers: Providers = None,
    side: Annotated[int, typer.Option(help="Pixels, for spatial axes whose size is open.")] = SIDE,
    as_json: Json = False,
) -> None:
    """Certify the explanation of a model: operators covered, outputs preserved, gradients equal to differences."""
    certificate = certify(model or embedded.MODEL, layers=layer, score=score, providers=providers, side=side)
    if as_json:
        print(json.dumps({**asdict(certificate), "passed": certificate.passed}, indent=2))
    else:
        _print_certificate(certificate)
    if not certificate.passed:
        raise typer.Exit(1)


def _model_and_photo(model: Path | None, image: Path | None) -> tuple[Path, Path]:
    if model is not None and image is None:
        raise UsageError("no image given; add one after the model")
    return model or embedded.MODEL, image or embedded.PHOTO


def _progress(paths: Sequence[Path], explainer: Explainer) -> Iterable[Path]:
    """The paths, with a progress bar where there are many and no bar shows the runs of each."""
    return paths if explainer.method in MANY_RUNS else _steps(paths, len(paths))


def _steps(steps: Iterable[Any], total: int) -> Iterator[Any]:
    """The steps, with a progress bar on the terminal where there are many."""
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=notes, transient=True, disable=total < 2) as progress:
        yield from progress.track(steps, total=total, description="explaining")


def _note_assumption(explainer: Explainer) -> None:
    if explainer.preprocess_is_assumed:
        notes.print(f"note: the model records no preprocessing; assuming {explainer.preprocess}, see --preprocess")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OnnxplainError(
            f"{folder}: the output folder cannot be made ({error.strerror}); choose another"
        ) from error


def _save_comparison(comparison: Comparison, output: Path, as_json: bool) -> None:
    write_image(output, contact_sheet(comparison))
    if as_json:
        cells = comparison.cells.items()
        rows = [{"row": row, "column": column, **row_of(one, output)} for (row, column), one in cells]
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        screen.print(f"{output}: {len(comparison.rows)} x {len(comparison.columns)} explanations")


def _print_certificate(certificate: Certificate) -> None:
    screen.print(operator_table(certificate))
    for finding in certificate.findings:
        verdict = "[green]pass[/green]" if finding.passed else "[red]FAIL[/red]"
        screen.print(f"{verdict}  {finding.name}: {finding.detail}", highlight=False)
    screen.print(f"provider: {certificate.providers[0]}")


def _report_all(failures: Sequence[OnnxplainError]) -> None:
    """Names what failed, and then exits with 1."""
    for failure in failures:
        _report(failure)
    if failures:
        raise typer.Exit(1)


def _report(error: OnnxplainError) -> None:
    print(f"error: {error}", file=sys.stderr)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"onnxplain {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show it.")
    ] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(envvar="ONNXPLAIN_PLUGINS", help="A Python file or module with rules or methods of your own."),
    ] = None,
) -> None:
    """Options before the command."""
    for name in plugin or ():
        load_plugin(name)


def main() -> None:
    """Runs the command line; an error is one line on stderr."""
    try:
        app()
    except OnnxplainError as error:
        _report(error)
        sys.exit(2 if isinstance(error, UsageError) else 1)
