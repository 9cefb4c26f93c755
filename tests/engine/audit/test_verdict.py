"""Verdicts on hand-made findings: their words follow from their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from onnxplain.engine.audit.findings import Audit, Record, Seen
from onnxplain.engine.audit.intervals import Interval, Share, difference
from onnxplain.engine.audit.summary import gaps
from onnxplain.engine.audit.verdict import Finding, against, finding, verdict

CLASSES = ("nurse", "doctor")


def audit(
    counts: dict[tuple[str, str], tuple[int, int]], heat: Sequence[float] = (), area: float = 0.05, model: str = "one"
) -> Audit:
    """So many images right and wrong by class and group; the heat in `face` of one after another, again and again."""
    found = Audit([model], meanings={model: dict(enumerate(CLASSES))})
    for (label, group), (good, bad) in counts.items():
        for number in range(good + bad):
            is_right = number < good
            predicted = CLASSES.index(label) if is_right else 1 - CLASSES.index(label)
            share = {"face": heat[len(found.records) % len(heat)]} if heat else {}
            seen = Seen(predicted, CLASSES[predicted], is_right, 1.0, share)
            areas = {"face": area} if heat else {}
            found.records.append(Record(f"{len(found.records)}.png", label, group, areas, {model: seen}))
    return found


BIASED = {
    ("nurse", "women"): (50, 0),
    ("nurse", "men"): (41, 9),
    ("doctor", "men"): (50, 0),
    ("doctor", "women"): (19, 31),
}


def test_a_biased_model_is_called_so_with_its_numbers() -> None:
    lines = verdict(audit(BIASED, heat=[0.6, 0.64]), "one")
    assert lines[0] == "Right in 160 of 200 (80%) (95% interval 74% to 85%)."
    low, high = difference(Share(50, 50), Share(19, 50), confidence=0.975)
    assert lines[1].startswith(
        "The groups are NOT treated alike: doctor is right in 50 of 50 (100%) of men and in 19 of 50 (38%) of women, a"
        f" gap of 62 points ({100 * low:+.0f} to {100 * high:+.0f}); nurse is right in 50 of 50 (100%) of women"
    )
    assert lines[2] == "Mistakes: 40; 31 doctor of women called nurse, 9 nurse of men called doctor."
    assert lines[3] == (
        "Heat in face: 62.0% against 5.0% of the area (61.7% to 62.3%, 200 images), 12.4 times as much: more than"
        " chance."
    )
    assert len(lines) == 4


def test_groups_that_are_treated_alike_are_called_so_where_there_are_enough_images() -> None:
    even = dict.fromkeys(BIASED, (198, 2))
    lines = verdict(audit(even), "one")
    assert lines[1].startswith("The groups are treated alike, within 10 points: at most")
    few = dict.fromkeys(BIASED, (5, 0))
    lines = verdict(audit(few), "one")
    assert lines[1].startswith("Too few images to say whether the groups are treated alike: ")
    assert len(lines) == 2  # no mistakes, no regions


def test_a_gap_that_is_shown_and_small_is_not_called_unfair() -> None:
    counts = {("nurse", "women"): (1000, 0), ("nurse", "men"): (960, 40)}
    lines = verdict(audit(counts), "one")
    assert lines[1].startswith("The groups differ, by little: nurse is right in 1000 of 1000")
    assert verdict(audit(counts), "one", margin=0.02)[1].startswith("The groups are NOT treated alike")


def test_groups_that_share_no_class_cannot_be_compared() -> None:
    lines = verdict(audit({("nurse", "women"): (5, 0), ("doctor", "men"): (5, 0)}), "one")
    assert lines[1] == "No class has images of two groups, so that groups cannot be compared."


@pytest.mark.parametrize(
    ("heat", "words"),
    [
        ([0.02, 0.08], "not told from chance"),
        ([0.01, 0.02], "0.3 times as much: less than chance"),
        ([0.5], "10.0 times as much: more than chance"),
        ([0.06, 0.061], "1.2 times as much: little more than chance"),
        ([0.04, 0.041], "0.8 times as much: little less than chance"),
    ],
)
def test_heat_is_held_against_the_area(heat: list[float], words: str) -> None:
    line = verdict(audit({("nurse", "women"): (20, 0), ("nurse", "men"): (20, 0)}, heat), "one")[-1]
    assert line.endswith(f"{words}.")


def test_the_region_with_most_heat_for_its_area_comes_first() -> None:
    found = audit({("nurse", "women"): (20, 0), ("nurse", "men"): (20, 0)}, [0.2], area=0.1)
    records = []
    for record in found.records:
        seen = replace(record.seen["one"], heat={"face": 0.2, "coat": 0.3, "hair": 0.15})
        records.append(replace(record, area={"face": 0.1, "coat": 0.1, "hair": 0.1}, seen={"one": seen}))
    lines = verdict(Audit(["one"], records, meanings=found.meanings), "one")[-3:]
    assert [line.split(":")[0] for line in lines] == ["Heat in coat", "Heat in face", "Heat in hair"]


def test_heat_of_few_images_is_no_evidence() -> None:
    lines = verdict(audit({("nurse", "women"): (2, 0), ("nurse", "men"): (2, 0)}, [0.5]), "one")
    assert lines[-1] == "Heat in face: 50.0% against 5.0% of the area, in 4 images: too few to say more."


def test_flat_maps_are_told_and_are_no_heat() -> None:
    found = audit({("nurse", "women"): (2, 0), ("nurse", "men"): (2, 0)}, [0.5])
    for record in found.records[:3]:
        record.seen["one"] = Seen(0, "nurse", True, 1.0, None)  # type: ignore[index]
    lines = verdict(found, "one")
    assert "in 1 images" in lines[-2]
    assert lines[-1] == "Flat maps, which have no heat anywhere: 3 of 4 (75%)."


def test_more_than_two_groups_are_each_compared_with_the_others() -> None:
    counts = {("nurse", group): (10 + more, 10 - more) for group, more in (("a", 10), ("b", 0), ("c", -4))}
    found = {frozenset((gap.better, gap.worse)): gap for gap in gaps(audit(counts), "one")}
    gap = found[frozenset(("a", "the others"))]
    assert gap.shares == ((20, 20), (16, 40))
    assert gap.interval == difference(Share(20, 20), Share(16, 40), confidence=1 - 0.05 / 3)
    assert (found[frozenset(("c", "the others"))].worse, len(found)) == ("c", 3)


def test_two_models_side_by_side() -> None:
    one, other = audit(BIASED, [0.6, 0.64]), audit(dict.fromkeys(BIASED, (50, 0)), [0.02, 0.04], model="two")
    both = Audit(["one", "two"], meanings={**one.meanings, **other.meanings})
    for a, b in zip(one.records, other.records, strict=True):
        both.records.append(Record(a.image, a.label, a.group, a.area, {**a.seen, **b.seen}))
    lines = against(both, "one", "two")
    assert lines == [
        "Right: one in 160 of 200 (80%), two in 200 of 200 (100%).",
        "Widest gap between groups: one 62 points (doctor, men against women), two 0 points (doctor, men against"
        " women).",
        "face: 62.0% of one's heat, 3.0% of two's; 59 points more (+59 to +59).",
    ]
    assert against(both, "two", "one")[2] == "face: 3.0% of two's heat, 62.0% of one's; 59 points less (-59 to -59)."


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (Interval(0.01, 0.5), Finding.SHOWN),
        (Interval(-0.5, -0.01), Finding.SHOWN),
        (Interval(-0.1, 0.05), Finding.SMALL),
        (Interval(-0.11, 0.05), Finding.UNDECIDED),
        (Interval(-0.05, 0.2), Finding.UNDECIDED),
    ],
)
def test_what_an_interval_says(interval: Interval, expected: Finding) -> None:
    assert finding(interval, 0.1) is expected
