"""The command `rewrite`: the explained model as a file, or in a Triton model repository."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..engine import embedded
from ..engine.images.preprocess import parse_preprocess
from ..engine.labels import read_labels
from ..engine.records.arguments import pairs
from ..engine.runtime.triton import write_triton_model
from ..graph_rewrites.model.metadata import add_metadata, read_metadata
from ..graph_rewrites.model.model_file import save
from ..graph_rewrites.pipeline.plan import OUTPUTS
from ..graph_rewrites.rewrite import rewrite as rewrite_model
from ..graph_rewrites.targets.placement import RECEPTIVE_FIELD
from .shared.options import Json, Labels, Layers, Method, Model, Options, Placement, PreprocessText, Rules, Score
from .shared.output import show


def rewrite(
    model: Model = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Explained model to write; default: explained.onnx.")
    ] = None,
    triton: Annotated[
        Path | None,
        typer.Option(help="Triton model repository to add the model to, instead of writing a file; with -o, both."),
    ] = None,
    layer: Layers = None,
    method: Method = "grad-cam",
    option: Options = None,
    rules: Rules = None,
    score: Score = None,
    placement: Placement = RECEPTIVE_FIELD,
    outputs: Annotated[
        list[str] | None, typer.Option("--outputs", help=f"Outputs to compute: {', '.join(OUTPUTS)}; repeatable.")
    ] = None,
    preprocess: PreprocessText = None,
    labels: Labels = None,
    as_json: Json = False,
) -> None:
    """Write the explained model: the same model, with the explanation as extra outputs."""
    recorded = parse_preprocess(preprocess).to_json() if preprocess else None
    names = read_labels(labels) if labels else None
    start = time.perf_counter()
    explained = rewrite_model(
        model or embedded.MODEL,
        method=method,
        layers=layer,
        rules=rules,
        score=score,
        outputs=outputs,
        options=pairs(option, "option"),
        placement=placement,
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
