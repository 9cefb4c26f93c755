"""The command line: parses options, calls the engine, prints. Exit codes: 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table

from . import __version__
from .engine import embedded
from .engine.certificate import SIDE, Certificate, certify
from .engine.explainer import Explainer
from .engine.explanation import Explanation
from .engine.images import find_images
from .engine.labels import read_labels
from .engine.preprocess import parse_preprocess
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

Model = Annotated[Path | None, typer.Argument(help="An ONNX file; default: the embedded EfficientNet-Lite0.")]
Layer = Annotated[str | None, typer.Option("--layer", help="Layer to explain; default: the last convolutional one.")]
Score = Annotated[str | None, typer.Option("--score", help="Model output to explain, where there are several.")]
Method = Annotated[str, typer.Option(help=f"Explanation map: {', '.join(METHODS)}.")]
Rules = Annotated[str | None, typer.Option(help="Backward rules: standard, guided, deconvnet, or your own.")]
Labels = Annotated[Path | None, typer.Option(help="Class names: a text file, one a line, or a JSON list.")]
PreprocessText = Annotated[
    str | None,
    typer.Option("--preprocess", help="A preset (imagenet, tf, caffe, raw, uint8), or preset,name=value,..."),
]
Providers = Annotated[
    list[str] | None, typer.Option("--providers", help="cpu, cuda ...; default: cuda where it is usable, else cpu.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command()
def explain(
    model: Model = None,
    images: Annotated[
        list[str] | None, typer.Argument(help="Images, folders or globs; default: the embedded photo.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="Class index, label, top1, top5 ...; may be repeated.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path("explanations"),
    layer: Layer = None,
    method: Method = "grad-cam",
    rules: Rules = None,
    score: Score = None,
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
    )
    if explainer.preprocess_is_assumed:
        notes.print(f"note: the model records no preprocessing; assuming {explainer.preprocess}, see --preprocess")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OnnxplainError(
            f"{output}: the output folder cannot be made ({error.strerror}); choose another"
        ) from error

    failures: list[OnnxplainError] = []
    rows, taken = [], set[str]()
    for explanation in explainer.explain_each(_progress(paths), target, failures.append):
        stem = _file_stem(explanation, taken)
        explanation.save(output / f"{stem}.png")
        if npy:
            explanation.save(output / f"{stem}.npy")
        rows.append(_row(explanation, output / f"{stem}.png"))
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        screen.print(_explanation_table(rows, explainer))
    for failure in failures:
        _report(failure)
    if failures:
        raise typer.Exit(1)


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
    layer: Annotated[list[str] | None, typer.Option("--layer", help="Layer to explain; may be repeated.")] = None,
    method: Method = "grad-cam",
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
    explained = rewrite(model or embedded.MODEL, method=method, layers=layer, rules=rules, score=score, outputs=outputs)
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
        screen.print(f"{output}: explains {', '.join(record['layers'])} with {method}")
        screen.print(f"adds {', '.join(record['names'].values())}; {after:,} bytes ({summary['growth']:+.2%})")


@app.command()
def check(
    model: Model = None,
    layer: Layer = None,
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


def _progress(paths: Sequence[Path]) -> Iterator[Path]:
    """The paths, with a progress bar on the terminal where there are many."""
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=notes, transient=True, disable=len(paths) < 2) as progress:
        yield from progress.track(paths, description="explaining")


def _file_stem(explanation: Explanation, taken: set[str]) -> str:
    """A file name for the explanation: photo, class index and label; numbered where two photos share a name."""
    photo = explanation.source.stem if explanation.source else "image"
    label = re.sub(r"\W+", "-", (explanation.label or "").split(",")[0]).strip("-")
    stem = "_".join(part for part in (photo, str(explanation.target), label) if part)
    number, unique = 1, stem
    while unique in taken:
        number += 1
        unique = f"{stem}_{number}"
    taken.add(unique)
    return unique


def _row(explanation: Explanation, picture: Path) -> dict[str, Any]:
    return {
        "image": str(explanation.source),
        "target": explanation.target,
        "label": explanation.label,
        "score": explanation.score,
        "probability": explanation.probability,
        "overlay": str(picture),
    }


def _explanation_table(rows: list[dict[str, Any]], explainer: Explainer) -> Table:
    table = Table("image", "class", "score", "share", "picture")
    for row in rows:
        name = f"{row['target']} {row['label'] or ''}".strip()
        share = "" if row["probability"] is None else f"{row['probability']:.1%}"
        table.add_row(Path(row["image"]).name, name, f"{row['score']:.3f}", share, row["overlay"])
    table.caption = f"{explainer.record['method']} at {explainer.record['layers'][0]}, {explainer.session.providers[0]}"
    return table


def _print_certificate(certificate: Certificate) -> None:
    table = Table("operator", "to the layer", "to the input", "differentiated by", title=f"layer {certificate.layer}")
    to_layer = {name: count for name, count, _ in certificate.to_layer}
    for name, count, how in certificate.to_input:
        table.add_row(name, str(to_layer.get(name, "")), str(count), how)
    screen.print(table)
    for finding in certificate.findings:
        verdict = "[green]pass[/green]" if finding.passed else "[red]FAIL[/red]"
        screen.print(f"{verdict}  {finding.name}: {finding.detail}", highlight=False)
    screen.print(f"provider: {certificate.providers[0]}")


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
) -> None:
    """Options before the command."""


def main() -> None:
    """Runs the command line; an error is one line on stderr."""
    try:
        app()
    except OnnxplainError as error:
        _report(error)
        sys.exit(2 if isinstance(error, UsageError) else 1)
