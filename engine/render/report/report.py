"""The report: many explanations as one HTML file that needs a browser and nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ....graph_rewrites.errors import OnnxplainError, UsageError
from ....graph_rewrites.model.metadata import VERSION
from ....graph_rewrites.model.model import ModelSource, parse
from ...explainer import Explainer
from ...images.files import atomic_file
from ...targets import Target
from ..html import html_template
from .collect import Entry, display_names, entries
from .encode import PIXEL_PRECISION, PRECISION, palette

FOLDER = Path(__file__).parent
SCRIPTS = ("heatmap.js", "viewer.js", "overview.js", "report.js")  # in the order in which they use each other
AGAINST = "counterfactual"  # shown beside every other map
DEFAULT_TOP = 3  # classes explained per image, where the model has as many

Progress = Callable[[Sequence[Path], int], Iterable[Path]]


@dataclass
class Report:
    """What was written.

    Attributes:
        path: the file.
        images: one dict each: `name`, `path`, the top class (`target`, `class`, `label`, `score`, `share`) and how many
            `maps`.
        failures: what went wrong: methods that this model does not allow, images that could not be explained.
        notes: what was assumed, and what is left out without having been asked for.
    """

    path: Path
    images: list[dict[str, Any]] = field(default_factory=list)
    failures: list[OnnxplainError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_report(
    model: Path,
    images: Sequence[Path],
    output: Path,
    *,
    methods: Sequence[str] = ("grad-cam",),
    target: Target | Sequence[Target] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    progress: Progress = lambda paths, total: paths,
    **arguments: Any,
) -> Report:
    """Explains images and writes the report, one batch of images at a time and whole or not at all.

    Args:
        model: an ONNX file, explained already or not.
        images: image files.
        output: the HTML file to write.
        methods: methods by name; one that this model does not allow is left out.
        target: one or several targets, see `Explainer`; default: the three top classes.
        inputs: the model's further inputs, the same for all images.
        progress: `(paths, total) -> paths`, which passes the images on and may show how far they are.
        arguments: further arguments of `Explainer`.

    Raises:
        UsageError: another suffix than .html, or as `Explainer`.
        OnnxplainError: no method explains this model, or the file cannot be written.
    """
    if output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{output}: a report is an HTML page; give a name that ends in .html")
    report = Report(output)
    with atomic_file(output) as file:  # first, so that a folder that cannot be written to is found out now
        explainers = _explainers(parse(model), methods, arguments, report)
        first = next(iter(explainers.values()))
        if first.preprocess_is_assumed:
            report.notes.append(f"the model records no preprocessing; assuming {first.preprocess}, see --preprocess")
        chosen = target or f"top{min(DEFAULT_TOP, first.classes or 1)}"
        found = entries(
            progress(images, len(images)), explainers, chosen, inputs, report.failures.append, display_names(images)
        )
        script = "\n".join(map(_source, SCRIPTS))
        page = html_template(FOLDER / "template.html.j2").generate(
            title=model.name,
            blocks=_blocks(found, report),  # drawn on as the page is written; what follows it sees the whole report
            report=report,
            settings=_settings(explainers, methods),
            facts=_facts(first),
            version=VERSION,
            style=_source("report.css"),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
        for part in page:
            file.write(part.encode("utf-8"))
    return report


def _explainers(
    model: ModelSource, methods: Sequence[str], arguments: Mapping[str, Any], report: Report
) -> dict[str, Explainer]:
    """An explainer per method that the model allows, and one of the counterfactual map, if it can be had."""
    found: dict[str, Explainer] = {}
    for method in dict.fromkeys([*methods, AGAINST]):
        asked = method in methods
        if not asked and not found:
            raise OnnxplainError(f"no method explains this model; {'; '.join(map(str, report.failures))}")
        try:
            explainer = Explainer(model, method=method, **arguments)
            found[explainer.record["method"]] = explainer  # an explained model's own, whatever was asked for
        except OnnxplainError as error:
            if asked and isinstance(error, UsageError):
                raise
            if asked:
                report.failures.append(OnnxplainError(f"{method}: {error}"))
            else:
                report.notes.append(f"no {method} maps: {error}")
    return found


def _blocks(found: Iterable[Entry], report: Report) -> Iterator[dict[str, Any]]:
    """The data of each image, which is also counted in the report."""
    for entry in found:
        best = entry.data["predictions"][0]
        report.images.append(
            {
                **best,
                "class": best["name"],
                "name": entry.name,
                "path": str(entry.path),
                "maps": len(entry.data["maps"]),
            }
        )
        yield entry.data | {"problems": entry.problems}


def _settings(explainers: Mapping[str, Explainer], methods: Sequence[str]) -> dict[str, Any]:
    """What the scripts need to know beside the images."""
    offered = [name for name in explainers if name != AGAINST or AGAINST in methods] or [AGAINST]
    layers = [layer for explainer in explainers.values() for layer in explainer.record["layers"]]
    return {"methods": offered, "against": AGAINST, "layer": (layers or [None])[-1], "palette": palette()}


def _facts(explainer: Explainer) -> dict[str, str]:
    """What a reader of the report may ask about how it was made."""
    return {
        "Preprocessing": str(explainer.preprocess),
        "Provider": explainer.session.providers[0],
        "Values": f"to {PRECISION} for maps at a layer, to {PIXEL_PRECISION:.3f} for maps of single pixels",
    }


def _source(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
