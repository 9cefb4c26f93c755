"""The command line: parses options, calls the engine, prints. Exit codes: 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from . import __version__
from .commands.caption import caption, vqa
from .commands.experiments.ablate import ablate, sweep
from .commands.experiments.audit import audit
from .commands.experiments.evaluate import evaluate
from .commands.experiments.seeds import seeds
from .commands.shared.options import (
    Image,
    Images,
    Json,
    Labels,
    Layers,
    MapOptions,
    Method,
    Methods,
    Model,
    Options,
    PreprocessText,
    Providers,
    Ray,
    Rules,
    RunOptions,
    Score,
    Targets,
    method_names,
    model_and_photo,
    model_and_photos,
    with_options,
)
from .commands.shared.output import (
    make_folder,
    note_assumption,
    notes,
    progress_over,
    report_all,
    report_error,
    save_comparison,
    show,
    steps,
)
from .engine import embedded
from .engine.compare import compare as compare_methods
from .engine.drawing import Drawing, draw_on_ray
from .engine.experiments.occlusion_sizes import described, occlusion_sizes
from .engine.explainer import Explainer
from .engine.gradcheck.certificate import SIDE, certify
from .engine.images.preprocess import parse_preprocess
from .engine.labels import read_labels
from .engine.multi_pass.occlusion import PAPER_SIZES
from .engine.plugins import load_plugin
from .engine.records.arguments import pairs
from .engine.records.tables import certificate_report, explanation_table, file_stem, layer_table, row_of
from .engine.render.report.report import write_report
from .engine.runtime.triton import write_triton_model
from .graph_rewrites.errors import OnnxplainError, UsageError
from .graph_rewrites.model.metadata import add_metadata, read_metadata
from .graph_rewrites.model.model_file import save
from .graph_rewrites.rewrite import OUTPUTS, layers, rewrite

app = typer.Typer(
    help="Explains the predictions of exported ONNX models. Without a model, commands use the embedded one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
PAPER_METHODS = ("grad-cam", "guided-backprop", "guided-grad-cam", "deconvnet", "c-mwp", "occlusion")


@app.command()
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


@app.command()
@with_options
def compare(
    chosen: MapOptions,
    model: Model = None,
    image: Image = None,
    method: Methods = None,
    target: Targets = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("comparison.png"),
    as_json: Json = False,
) -> None:
    """Draw methods x layers, or methods x classes, of one image in one picture."""
    names = method_names(method, PAPER_METHODS)
    failures: list[OnnxplainError] = []
    comparison = compare_methods(
        *model_and_photo(model, image),
        methods=names,
        target=target,
        inputs=chosen.inputs,
        on_error=failures.append if len(names) > 1 else None,
        progress=steps,
        **chosen.arguments(),
    )
    save_comparison(comparison, output, as_json)
    report_all(failures)


@app.command()
@with_options
def report(
    chosen: MapOptions,
    model: Model = None,
    images: Images = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("report.html"),
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "--methods", help="Methods, by comma or repeated; default: grad-cam."),
    ] = None,
    target: Targets = None,
    as_json: Json = False,
) -> None:
    """Write a page to look at: every image with its predictions and maps, in one HTML file."""
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


@app.command()
@with_options
def occlude(
    chosen: RunOptions,
    model: Model = None,
    image: Image = None,
    size: Annotated[
        list[int] | None, typer.Option(help=f"Side of the patch in pixels; may be repeated; default: {PAPER_SIZES}.")
    ] = None,
    stride: Annotated[int, typer.Option(help="Pixels from patch to patch; default: a third of the patch.")] = 0,
    fill: Annotated[str, typer.Option(help="What covers: mean, zero or blur.")] = "mean",
    against: Annotated[
        str | None, typer.Option(help="A method, as grad-cam, to draw first and rank-correlate each map with.")
    ] = None,
    target: Targets = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.")] = Path("occlusion.png"),
    as_json: Json = False,
) -> None:
    """Draw how much the score drops where a patch covers the image, for patches of several sizes."""
    comparison = occlusion_sizes(
        *model_and_photo(model, image),
        size or PAPER_SIZES,
        against=against,
        options={"stride": stride, "fill": fill},
        target=target,
        inputs=chosen.inputs,
        progress=steps,
        **chosen.arguments(),
    )
    save_comparison(comparison, output, as_json, described)


@app.command("layers")
def list_layers(model: Model = None, score: Score = None, as_json: Json = False) -> None:
    """List the layers that can be explained."""
    found = layers(model or embedded.MODEL, score=score)
    show([asdict(layer) for layer in found], layer_table(found), as_json)


@app.command("rewrite")
def rewrite_model(
    model: Model = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The explained model to write; default: explained.onnx.")
    ] = None,
    triton: Annotated[
        Path | None,
        typer.Option(
            help="Triton model repository to add the model to, in place of a file; beside it where -o names one."
        ),
    ] = None,
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
    written = []
    if triton:
        written.append(write_triton_model(explained, triton, (output or model or embedded.MODEL).stem))
    if output or not triton:
        written.append(output or Path("explained.onnx"))
        save(explained, written[-1])
    record = read_metadata(explained) or {}
    before, after = (model or embedded.MODEL).stat().st_size, written[0].stat().st_size
    summary = {
        "path": str(written[-1]),
        "triton": str(written[0]) if triton else None,
        "bytes": after,
        "growth": after / before - 1,
        "seconds": round(time.perf_counter() - start, 3),
        "layers": record["layers"],
        "names": record["names"],
    }
    places = ", ".join(record["layers"]) or record["input"]["name"]
    added = f"{', '.join(record['names'].values())}; {after:,} bytes ({summary['growth']:+.2%})"
    files = ", ".join(map(str, written))
    show(summary, f"{files}: explains {places} with {method}\nadds {added}", as_json)


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
    show({**asdict(certificate), "passed": certificate.passed}, certificate_report(certificate), as_json)
    if not certificate.passed:
        raise typer.Exit(1)


app.command()(caption)
app.command()(vqa)
app.command()(evaluate)
app.command()(audit)
app.command()(ablate)
app.command()(sweep)
app.command()(seeds)


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
        report_error(error)
        sys.exit(2 if isinstance(error, UsageError) else 1)
