"""An audit as tables for people, and as plain JSON types and CSV for programs."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from .findings import Audit, Kind
from .intervals import CONFIDENCE, Share
from .summary import Heat, chosen, flat, gaps, heat, mistakes, right
from .verdict import MARGIN, against, finding, verdict

OTHER = "another class"
MOST_COLUMNS = 8  # classes that a table has room for

Cells = tuple[list[str], dict[Kind, list[str]]]  # names of columns, and their texts


def audit_data(audit: Audit, margin: float = MARGIN) -> dict[str, Any]:
    """The figures and the verdict as plain JSON types; None where nothing was measured, or of too few images."""
    return {
        "images": len(audit.records),
        "classes": audit.labels,
        "groups": audit.groups,
        "regions": audit.regions,
        "models": {model: _model_data(audit, model, margin) for model in audit.models},
        "against": against(audit, *audit.models) if len(audit.models) == 2 else None,
    }


def audit_report(audit: Audit, margin: float = MARGIN) -> Group:
    """Accuracy, mistakes and heat of each model by class and group, and the verdict."""
    parts: list[RenderableType] = []
    for model in audit.models:
        parts += [_table(f"{model}: what images are taken for", _confusion(audit, model))]
        if audit.regions:
            parts.append(_table(f"{model}: heat inside regions (share of the area)", _heat_rows(audit, model)))
    for model in audit.models:
        parts += ["", f"[bold]{escape(model)}[/bold]", *map(escape, verdict(audit, model, margin))]
    if len(audit.models) == 2:
        parts += ["", "[bold]side by side[/bold]", *map(escape, against(audit, *audit.models))]
    return Group(*parts)


def confusion_csv(audit: Audit) -> str:
    """How many images of each class and group each model takes for each class, one count a row."""
    rows: list[Sequence[Any]] = [["model", "class", "group", "called", "images"]]
    for model in audit.models:
        wrong = mistakes(audit, model)
        for label, group in audit.by_kind:
            rows.append([model, label, group, label, right(chosen(audit, label, group), model).part])
            rows += [[model, *kind, count] for kind, count in sorted(wrong.items()) if kind[:2] == (label, group)]
    return _csv(rows)


def heat_csv(audit: Audit) -> str:
    """The mean share of the heat in each region, its interval, and that of the area, by model, class and group."""
    rows: list[Sequence[Any]] = [["model", "class", "group", "region", "heat", "low", "high", "area", "images"]]
    for model in audit.models:
        for label, group in [*audit.by_kind, (None, None)]:
            for region in audit.regions:
                found = heat(chosen(audit, label, group), model, region)
                ends = found.interval or ("", "")
                if found.images:
                    kind = [label or "", group or ""]
                    rows.append([model, *kind, region, found.share, *ends, found.area, found.images])
    return _csv(rows)


def images_csv(audit: Audit) -> str:
    """Each image and model: what it was taken for, and the shares of heat and area in each region."""
    columns = [f"{what} in {region}" for region in audit.regions for what in ("heat", "area")]
    rows: list[Sequence[Any]] = [["image", "class", "group", "model", "called", "right", "probability", *columns]]
    for one in audit.records:
        for model, seen in one.seen.items():
            shares = [
                value
                for region in audit.regions
                for value in ((seen.heat or {}).get(region, ""), one.area.get(region, ""))
            ]
            called = audit.called(model, one)
            rows.append([one.image, one.label, one.group, model, called, int(seen.is_right), seen.probability, *shares])
    return _csv(rows)


def _model_data(audit: Audit, model: str, margin: float) -> dict[str, Any]:
    every = right(audit.records, model)
    return {
        "verdict": verdict(audit, model, margin),
        **_share_data(every),
        "kinds": [
            {"class": label, "group": group, **_share_data(right(chosen(audit, label, group), model))}
            for label, group in audit.by_kind
        ],
        "mistakes": [
            {"class": label, "group": group, "called": called, "images": count}
            for (label, group, called), count in mistakes(audit, model).most_common()
        ],
        "gaps": [
            {
                "class": gap.label,
                "better": gap.better,
                "worse": gap.worse,
                "gap": gap.value,
                "interval": list(gap.interval),
                "finding": finding(gap.interval, margin).value,
            }
            for gap in gaps(audit, model)
        ],
        "heat": [
            {"class": label, "group": group, "region": region, **_heat_data(heat(records, model, region))}
            for label, group in [(None, None), *audit.by_kind]
            for records in [chosen(audit, label, group)]
            for region in audit.regions
        ],
        "flat": flat(audit, model),
    }


def _share_data(share: Share) -> dict[str, Any]:
    return {"right": share.part, "images": share.whole, "interval": list(share.interval())}


def _heat_data(found: Heat) -> dict[str, Any]:
    interval = None if found.interval is None else list(found.interval)
    known = found.images > 0
    return {
        "heat": found.share if known else None,
        "interval": interval,
        "area": found.area if known else None,
        "images": found.images,
    }


def _confusion(audit: Audit, model: str) -> list[list[str]]:
    """Table A1's counterpart: for each class and group what its images are taken for, and how many of them rightly."""
    columns, cells = _counts(audit, model) if len(audit.labels) <= MOST_COLUMNS else _commonest(audit, model)
    rows = [["class", "group", *columns, "right", f"{CONFIDENCE:.0%} interval"]]
    for (label, group), records in audit.by_kind.items():
        share = right(records, model)
        low, high = share.interval()
        rows.append([label, group, *cells[label, group], f"{share.value:.1%}", f"{low:.1%} to {high:.1%}"])
    return rows


def _counts(audit: Audit, model: str) -> Cells:
    """How many images are taken for each class of the data set, and for others where there are such."""
    wrong = mistakes(audit, model)
    has_others = any(called not in audit.labels for _, _, called in wrong)
    cells = {}
    for (label, group), records in audit.by_kind.items():
        share = right(records, model)
        counts = [share.part if called == label else wrong[label, group, called] for called in audit.labels]
        counts += [share.whole - sum(counts)] if has_others else []
        cells[label, group] = list(map(str, counts))
    return [*(f"as {called}" for called in audit.labels), *([f"as {OTHER}"] if has_others else [])], cells


def _commonest(audit: Audit, model: str) -> Cells:
    """The class that images are most often mistaken for, where there are too many for a column each."""
    cells = {}
    for kind, records in audit.by_kind.items():
        wrong = Counter(audit.called(model, one) for one in records if not one.seen[model].is_right)
        cells[kind] = [", ".join(f"{called} ({count})" for called, count in wrong.most_common(1))]
    return ["most often mistaken for"], cells


def _heat_rows(audit: Audit, model: str) -> list[list[str]]:
    rows = [["class", "group", *audit.regions]]
    for label, group in [*audit.by_kind, (None, None)]:
        found = (heat(chosen(audit, label, group), model, region) for region in audit.regions)
        rows.append([label or "all", group or "all", *map(_heat_text, found)])
    return rows


def _heat_text(found: Heat) -> str:
    return "-" if math.isnan(found.share) else f"{found.share:.1%} ({found.area:.1%})"


def _table(title: str, rows: list[list[str]]) -> Table:
    table = Table(*map(escape, rows[0]), title=escape(title))
    for row in rows[1:]:
        table.add_row(*map(escape, row))
    return table


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
