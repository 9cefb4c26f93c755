"""Experiments as tables for people, and as plain JSON types for programs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from ..compare import name_of
from ..datasets.voc import VOID
from ..records.tables import row_of
from .ablation import Ablated
from .depth import Sweep
from .seed_files import Written
from .seeds import SeedRules


def sweep_data(sweep: Sweep, picture: Path) -> dict[str, Any]:
    """A sweep as plain JSON types; times in seconds, memory in bytes."""
    rows = zip(sweep.explanations, sweep.sizes, sweep.agreement, strict=True)
    return {
        "layers": [
            {**row_of(one, picture), "size": size, "rank_correlation": None if math.isnan(value) else value}
            for one, size, value in rows
        ],
        "seconds": sweep.cost.seconds,
        "memory": sweep.cost.memory,
    }


def sweep_table(sweep: Sweep, picture: Path) -> Table:
    """The layers with the sizes of their maps and their agreement with the last one."""
    table = Table("layer", "size", "agreement", title=escape(name_of(sweep.explanations[0])))
    for one, size, value in zip(sweep.explanations, sweep.sizes, sweep.agreement, strict=True):
        table.add_row(escape(str(one.layer)), size, "" if math.isnan(value) else f"{value:.3f}")
    times = ", ".join(f"{step} {seconds:.2f} s" for step, seconds in sweep.cost.seconds.items())
    memory = "" if sweep.cost.memory is None else f", {sweep.cost.memory / 1e6:.0f} MB at most"
    table.caption = f"agreement: rank correlation with the last layer's map\n{times}{memory}\n{escape(str(picture))}"
    return table


def ablation_data(ablated: Ablated, picture: Path) -> dict[str, Any]:
    """An ablation as plain JSON types; measures as their means."""
    drawn = [{"ablation": name, **row_of(one, picture)} for found in ablated.drawn for name, one in found.items()]
    return {"measures": ablated.means(), "measured": ablated.count, "drawn": drawn}


def ablation_table(ablated: Ablated, picture: Path) -> Table | str:
    """The means of the measures by change; where nothing was measured, what was drawn."""
    drawn = f"{len(ablated.drawn)} x {len(ablated.names)} maps: {picture}"
    means = ablated.means()
    if not means:
        return drawn
    measures = list(next(iter(means.values())))
    table = Table("", *measures, title=f"means over {ablated.count} objects", caption=escape(drawn))
    for name, values in means.items():
        table.add_row(name, *(f"{values[measure]:.1%}" for measure in measures))
    return table


def seeds_data(written: Written) -> dict[str, Any]:
    """What was written, as plain JSON types."""
    return {
        "folder": str(written.folder),
        "images": written.images,
        "resumed": written.resumed,
        "failures": [str(failure) for failure in written.failures],
    }


def seeds_table(written: Written, rules: SeedRules) -> Table:
    """How many images and cells each class has."""
    found: dict[int, tuple[str, list[int]]] = {}
    for image in written.images:
        for one in image["cells"]:
            found.setdefault(one["value"], (one["label"], []))[1].append(one["cells"])
    total = len(written.images) * rules.grid**2
    left = total - sum(sum(cells) for _, cells in found.values())
    count = f"{len(written.images)} image{'s' * (len(written.images) != 1)}"
    table = Table("value", "class", "images", "cells", title=f"seeds of {count}")
    for value, (label, cells) in sorted(found.items()):
        table.add_row(str(value), escape(label), str(len(cells)), f"{sum(cells) / total:.1%}")
    if total:
        table.add_row(str(VOID), "unlabelled", str(len(written.images)), f"{left / total:.1%}")
    before = f", {written.resumed} of them by an earlier run" if written.resumed else ""
    table.caption = escape(f"{written.folder}: a .png and a .npz each{before}")
    return table
