"""Explanations and certificates as rows, tables and file names, for people and programs that read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from ...graph_rewrites.targets.layers import Layer
from ..explainer import Explainer
from ..explanation import Explanation
from ..gradcheck.certificate import Certificate
from ..gradcheck.finding import Finding
from ..results import BOX, DETAILS


def file_stem(explanation: Explanation, taken: set[str], with_layer: bool) -> str:
    """A file name for the explanation: photo, class index, label and layer; numbered where two photos share a name."""
    photo = explanation.source.stem if explanation.source else "image"
    label = re.sub(r"\W+", "-", (explanation.label or "").split(",")[0]).strip("-")
    layer = re.sub(r"\W+", "-", explanation.layer or "").strip("-") if with_layer else ""
    stem = "_".join(part for part in (photo, str(explanation.target), label, layer) if part)
    number, unique = 1, stem
    while unique in taken:
        number += 1
        unique = f"{stem}_{number}"
    taken.add(unique)
    return unique


def row_of(explanation: Explanation, picture: Path) -> dict[str, Any]:
    """An explanation as plain JSON types."""
    return {
        "image": str(explanation.source),
        "target": explanation.target,
        "label": explanation.label,
        "score": explanation.score,
        "probability": explanation.probability,
        "overlay": str(picture),
        "method": explanation.method,
        "layer": explanation.layer,
        **explanation.details,
    }


def explanation_table(rows: list[dict[str, Any]], explainer: Explainer) -> Table:
    """Explanations, one a row."""
    details = [name for name in (rows[0] if rows else {}) if name in (*DETAILS, *BOX)]
    headings = [name.replace("_", " ") for name in details]
    table = Table("image", "class", "score", "share", *headings, "picture")
    for row in rows:
        name = f"{row['target']} {row['label'] or ''}".strip()
        share = "" if row["probability"] is None else f"{row['probability']:.1%}"
        more = [f"{row[name]:.3g}" for name in details]
        table.add_row(Path(row["image"]).name, name, f"{row['score']:.3f}", share, *more, row["overlay"])
    place = ", ".join(explainer.record["layers"][:3]) or "the input"
    table.caption = f"{explainer.record['method']} at {place}, {explainer.session.providers[0]}"
    return table


def layer_table(found: Sequence[Layer]) -> Group:
    """The layers that can be explained, the default marked, and why others cannot."""
    layers = [layer for layer in found if layer.reason is None]
    table = Table("", "layer", "made by", "shape", title=f"{len(layers)} layers", caption="* the default")
    for layer in layers:
        shape = " x ".join("?" if size is None else str(size) for size in layer.shape)
        table.add_row("*" if layer.is_default else "", layer.name, layer.op_type, shape)
    others = [f"left out: {escape(layer.name)} {escape(layer.reason)}" for layer in found if layer.reason is not None]
    return Group(table, *others)


def certificate_report(certificate: Certificate) -> Group:
    """What was certified, with its findings."""
    findings = [_finding_line(finding) for finding in certificate.findings]
    return Group(_operator_table(certificate), *findings, f"provider: {certificate.providers[0]}")


def _finding_line(finding: Finding) -> str:
    verdict = {True: "[green]pass[/green]", False: "[red]FAIL[/red]", None: "[dim]----[/dim]"}[finding.passed]
    if finding.passed is None:
        return f"{verdict}  {escape(finding.name)}: not checked, {escape(finding.detail)}"
    runs = f" ({finding.probes} probes)" if finding.probes > 1 else ""
    return f"{verdict}  {escape(finding.name)}: {escape(finding.detail)}{runs}"


def _operator_table(certificate: Certificate) -> Table:
    """The operators between the score and the layer and the input, and how each is differentiated."""
    table = Table("operator", "to the layer", "to the input", "differentiated by", title=f"layer {certificate.layer}")
    to_layer = {name: count for name, count, _ in certificate.to_layer}
    for name, count, how in certificate.to_input:
        table.add_row(name, str(to_layer.get(name, "")), str(count), how)
    return table
