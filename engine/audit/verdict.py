"""What an audit found, in words with their numbers."""

from __future__ import annotations

from enum import Enum

from .findings import Audit
from .intervals import CONFIDENCE, Interval, Share
from .summary import Gap, Heat, flat, gaps, heat, heat_difference, mistakes, right

MARGIN = 0.1  # a gap up to this is called small; what matters is for the user to say
CLEARLY = 2.0  # times as much as chance, or as little; of many images even a thirtieth more is told from it
NAMED = 3  # gaps and kinds of mistakes that are named


class Finding(Enum):
    """What the interval of a difference allows to say of it."""

    SHOWN = "shown"  # zero lies outside
    SMALL = "small"  # it lies within the margin
    UNDECIDED = "undecided"  # neither: there are too few images


def finding(interval: Interval, margin: float) -> Finding:
    """What is said of a difference.

    The interval is a test both of a difference and of its being small (two one-sided tests: Schuirmann 1987).
    """
    if interval.low > 0 or interval.high < 0:
        return Finding.SHOWN
    return Finding.SMALL if max(abs(interval.low), abs(interval.high)) <= margin else Finding.UNDECIDED


def verdict(audit: Audit, model: str, margin: float = MARGIN) -> list[str]:
    """Sentences about one model; of regions the one first that has most heat for its area."""
    every = right(audit.records, model)
    interval = every.interval()
    lines = [f"Right in {_of(every)} ({CONFIDENCE:.0%} interval {_range(interval)})."]
    lines += [*_gap_lines(audit, model, margin), *_mistake_lines(audit, model)]
    found = {region: heat(audit.records, model, region) for region in audit.regions}
    lines += [_heat_line(region, found[region]) for region in sorted(found, key=lambda one: -found[one].times)]
    if count := flat(audit, model):
        lines.append(f"Flat maps, which have no heat anywhere: {_of(Share(count, every.whole))}.")
    return lines


def against(audit: Audit, one: str, other: str) -> list[str]:
    """Sentences about two models beside each other."""
    lines = [f"Right: {one} in {_of(right(audit.records, one))}, {other} in {_of(right(audit.records, other))}."]
    widest = {model: next(iter(gaps(audit, model)), None) for model in (one, other)}
    parts = [
        f"{model} {_points(gap.value)} ({gap.label}, {gap.better} against {gap.worse})"
        for model, gap in widest.items()
        if gap is not None
    ]
    lines += [f"Widest gap between groups: {', '.join(parts)}."] if parts else []
    for region in audit.regions:
        value, interval = heat_difference(audit, one, other, region)
        found = [heat(audit.records, model, region) for model in (one, other)]
        if not all(each.images for each in found):
            continue
        shares = f"{found[0].share:.1%} of {one}'s heat, {found[1].share:.1%} of {other}'s"
        if interval is None:
            evidence = "too few images to compare"
        elif interval.low <= 0 <= interval.high:
            evidence = f"no difference is shown ({_range(interval, signed=True)})"
        else:
            evidence = f"{_points(abs(value))} {'more' if value > 0 else 'less'} ({_range(interval, signed=True)})"
        lines.append(f"{region}: {shares}; {evidence}.")
    return lines


def _gap_lines(audit: Audit, model: str, margin: float) -> list[str]:
    found = gaps(audit, model)
    if not found:
        return ["No class has images of two groups, so that groups cannot be compared."]
    by_finding = {kind: [gap for gap in found if finding(gap.interval, margin) is kind] for kind in Finding}
    if shown := by_finding[Finding.SHOWN]:
        more = f" And {len(shown) - NAMED} more." if len(shown) > NAMED else ""
        head = "The groups are NOT treated alike" if shown[0].value > margin else "The groups differ, by little"
        return [f"{head}: {'; '.join(map(_gap_text, shown[:NAMED]))}.{more}"]
    if undecided := by_finding[Finding.UNDECIDED]:
        gaps_text = "; ".join(map(_gap_text, undecided[:NAMED]))
        return [f"Too few images to say whether the groups are treated alike: {gaps_text}."]
    return [f"The groups are treated alike, within {_points(margin)}: at most {_gap_text(found[0])}."]


def _gap_text(gap: Gap) -> str:
    better, worse = gap.shares
    return (
        f"{gap.label} is right in {_of(better)} of {gap.better} and in {_of(worse)} of {gap.worse}, a gap of"
        f" {_points(gap.value)} ({_range(gap.interval, signed=True)})"
    )


def _mistake_lines(audit: Audit, model: str) -> list[str]:
    found = mistakes(audit, model)
    total = found.total()
    if not total:
        return []
    kinds = [
        f"{count} {label} of {group} called {called}" for (label, group, called), count in found.most_common(NAMED)
    ]
    more = f", and {len(found) - NAMED} other kinds" if len(found) > NAMED else ""
    return [f"Mistakes: {total}; {', '.join(kinds)}{more}."]


def _heat_line(region: str, found: Heat) -> str:
    if not found.images:
        return f"Heat in {region}: none of the maps with heat in them has it annotated."
    text = f"Heat in {region}: {found.share:.1%} against {found.area:.1%} of the area"
    if found.interval is None:
        return f"{text}, in {found.images} images: too few to say more."
    low, high = found.interval
    much = "" if max(found.share, found.area) >= CLEARLY * min(found.share, found.area) else "little "
    differs = low > found.area or high < found.area
    side = f"{much}{'more' if low > found.area else 'less'} than chance" if differs else "not told from chance"
    images = f"({_range(found.interval, digits=1)}, {found.images} images)"
    return f"{text} {images}, {found.times:.1f} times as much: {side}."


def _of(share: Share) -> str:
    return f"{share.part} of {share.whole} ({share.value:.0%})"


def _points(value: float) -> str:
    return f"{100 * value:.0f} points"


def _range(interval: Interval, signed: bool = False, digits: int = 0) -> str:
    low, high = interval
    return f"{100 * low:+.0f} to {100 * high:+.0f}" if signed else f"{low:.{digits}%} to {high:.{digits}%}"
