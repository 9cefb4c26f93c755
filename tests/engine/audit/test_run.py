"""Audits of a model that sees colours and nothing else, so that every figure is known by hand."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnxplain import Explainer
from onnxplain.engine.audit import run, tables
from onnxplain.engine.audit.findings import Audit
from onnxplain.engine.audit.picture import drawn, picture
from onnxplain.engine.audit.run import Subject, audit_images
from onnxplain.engine.audit.summary import chosen, flat, heat, heat_difference, mistakes, right
from onnxplain.engine.audit.tables import audit_data, audit_report, confusion_csv, heat_csv, images_csv
from onnxplain.engine.datasets.groups import read_groups
from onnxplain.engine.datasets.mapping import ClassMapping, Given
from onnxplain.engine.datasets.read import read_dataset
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError
from rich.table import Table

from ..evaluation import colours
from ..evaluation.colours import PREPROCESS, Rectangle, network

# Of 20 x 30 = 600 pixels. The model says which colour covers more; its map is that colour's pixels.
PICTURES: dict[str, list[Rectangle]] = {
    "a.png": [("red", 0, 0, 10, 10)],
    "b.png": [("red", 0, 0, 10, 10), ("green", 20, 0, 30, 15)],
    "c.png": [("green", 0, 0, 10, 20)],
    "d.png": [("green", 0, 0, 10, 10), ("blue", 10, 0, 30, 20)],
    "e.png": [],
}
# Class, group, and boxes of the region "left" (10 x 10 pixels in the corner) and "top" (all of 5 rows).
LEFT, TOP = ("left", 0, 0, 10, 10), ("top", 0, 0, 30, 5)
LINES = [
    ["a.png", "red", "day", "", "", "", ""],
    ["a.png", "left", "", 0, 0, 10, 10],
    ["a.png", "top", "", 0, 0, 30, 5],
    ["b.png", "red", "night", "", "", "", ""],
    ["b.png", "left", "night", 0, 0, 10, 10],
    ["b.png", "top", "night", 0, 0, 30, 5],
    ["c.png", "green", "day", "", "", "", ""],
    ["c.png", "left", "day", 0, 0, 10, 10],
    ["d.png", "green", "night", "", "", "", ""],
    ["e.png", "red", "night", "", "", "", ""],
    ["e.png", "left", "night", 0, 0, 10, 10],
]
HEADER = ["image", "label", "group", "x0", "y0", "x1", "y1"]


def write(folder: Path, lines: Sequence[Sequence[object]], header: Sequence[str] = HEADER) -> Path:
    for name, rectangles in PICTURES.items():
        cv2.imwrite(str(folder / name), colours.picture(rectangles)[..., ::-1])
    with (folder / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    return folder / "data.csv"


def subject(given: Given | None = None, method: str = "grad-cam") -> Subject:
    explainer = Explainer(network(), preprocess=PREPROCESS, method=method)
    return Subject(explainer, ClassMapping(explainer.labels, explainer.classes, given, "map.csv"))


def audited(
    path: Path, failures: list[OnnxplainError] | None = None, of_true: bool = False, **subjects: Subject
) -> Audit:
    dataset = read_dataset(path, further=True)
    collect = None if failures is None else failures.append
    subjects = subjects or {"colours": subject()}
    return audit_images(subjects, dataset, read_groups(path, dataset), of_true=of_true, on_error=collect)


def test_each_image_is_predicted_and_its_heat_is_where_it_is_known_to_be(tmp_path: Path) -> None:
    found = audited(write(tmp_path, LINES))
    assert (found.labels, found.groups, found.regions) == (["green", "red"], ["day", "night"], ["left", "top"])
    said = {one.image: (one.label, one.group, found.called("colours", one)) for one in found.records}
    assert said == {
        "a.png": ("red", "day", "red"),
        "b.png": ("red", "night", "green"),
        "c.png": ("green", "day", "green"),
        "d.png": ("green", "night", "blue"),  # no class of the data set, so that the model's own name is used
        "e.png": ("red", "night", "red"),  # all scores are 0, and the first is taken
    }
    records = {one.image: one for one in found.records}
    assert records["a.png"].area == {"left": 100 / 600, "top": 150 / 600}
    assert records["a.png"].seen["colours"].heat == pytest.approx({"left": 1, "top": 0.5})
    assert records["b.png"].seen["colours"].heat == pytest.approx({"left": 0, "top": 1 / 3})
    assert records["c.png"].seen["colours"].heat == pytest.approx({"left": 0.5})
    assert records["d.png"].seen["colours"].heat == {}
    assert records["e.png"].seen["colours"].heat is None
    scores = np.array([0, 8 * 100 / 600, 8 * 400 / 600])
    assert records["d.png"].seen["colours"].probability == pytest.approx((np.exp(scores) / np.exp(scores).sum())[2])


def test_figures_are_of_the_images_that_have_them(tmp_path: Path) -> None:
    found = audited(write(tmp_path, LINES))
    assert right(found.records, "colours") == (3, 5)
    assert right(chosen(found, "red", "night"), "colours") == (1, 2)
    assert mistakes(found, "colours") == {("red", "night", "green"): 1, ("green", "night", "blue"): 1}
    left = heat(found.records, "colours", "left")  # of a, b and c: e's map is flat, and d has no such region
    assert (left.share, left.area, left.images, left.interval) == (pytest.approx(0.5), pytest.approx(1 / 6), 3, None)
    assert heat(chosen(found, "green", "night"), "colours", "left").images == 0
    assert flat(found, "colours") == 1
    data = audit_data(found)
    assert data["against"] is None
    model = data["models"]["colours"]
    assert (model["right"], model["images"], model["flat"]) == (3, 5, 1)
    assert {(one["class"], one["group"]): one["right"] for one in model["kinds"]} == {
        ("green", "day"): 1,
        ("green", "night"): 0,
        ("red", "day"): 1,
        ("red", "night"): 1,
    }
    assert [one["finding"] for one in model["gaps"]] == ["undecided", "undecided"]
    whole = next(one for one in model["heat"] if one["class"] is None and one["region"] == "top")
    assert (whole["heat"], whole["area"], whole["images"]) == (pytest.approx((1 / 2 + 1 / 3) / 2), 0.25, 2)


def test_the_files_have_every_image_and_figure(tmp_path: Path) -> None:
    found = audited(write(tmp_path, LINES))
    rows = {row["image"]: row for row in csv.DictReader(io.StringIO(images_csv(found)))}
    assert (rows["b.png"]["called"], rows["b.png"]["right"]) == ("green", "0")
    assert float(rows["b.png"]["heat in top"]) == pytest.approx(1 / 3)
    assert float(rows["b.png"]["area in top"]) == 0.25
    assert (rows["e.png"]["heat in left"], rows["e.png"]["area in top"]) == ("", "")
    counts = {
        (row["class"], row["group"], row["called"]): int(row["images"])
        for row in csv.DictReader(io.StringIO(confusion_csv(found)))
    }
    assert sum(counts.values()) == 5
    assert counts["red", "night", "green"] == counts["red", "night", "red"] == 1
    heats = list(csv.DictReader(io.StringIO(heat_csv(found))))
    assert [(row["class"], row["group"], row["region"]) for row in heats if not row["class"]] == [
        ("", "", "left"),
        ("", "", "top"),
    ]


def test_the_true_class_can_be_explained_in_the_place_of_the_predicted_one(tmp_path: Path) -> None:
    found = {one.image: one for one in audited(write(tmp_path, LINES), of_true=True).records}
    assert found["b.png"].seen["colours"].heat == pytest.approx({"left": 1, "top": 0.5})
    assert not found["b.png"].seen["colours"].is_right


def test_two_models_are_compared_on_the_same_images(tmp_path: Path) -> None:
    path = write(tmp_path, LINES)
    other = subject(method="layer-cam")
    other.explainer.labels = ["green", "red", "blue"]  # the same scores under other names
    other = Subject(other.explainer, ClassMapping(other.explainer.labels, 3))
    found = audited(path, one=subject(), other=other)
    assert right(found.records, "other") == (1, 5)
    assert mistakes(found, "other")["red", "night", "green"] == 1  # e
    value, interval = heat_difference(found, "one", "other", "left")
    assert (value, interval) == (pytest.approx(0), None)
    assert audit_data(found)["against"][0] == "Right: one in 3 of 5 (60%), other in 1 of 5 (20%)."


def test_mean_maps_and_examples_are_kept_by_class_and_group(tmp_path: Path) -> None:
    lines = [["a.png", "red", "day"], ["b.png", "red", "day"], ["c.png", "green", "night"]]
    found = audited(write(tmp_path, lines, HEADER[:3]))
    cell = found.cells["red", "day"]
    expected = np.zeros((20, 30))
    expected[:10, :10] += 0.5  # red in the first image, in which it is what is predicted
    expected[:15, 20:] += 0.5  # green in the second
    np.testing.assert_allclose(cell.mean["colours"], expected, atol=1e-6)
    assert (cell.count, cell.first.image) == (2, "a.png")
    assert drawn(found, 1) == [("red", "day")]  # with the mistake
    assert drawn(found, 9) == [("green", "night"), ("red", "day")]
    sheet = picture(found)
    assert sheet.dtype == np.uint8
    assert sheet.std() > 30


def test_images_of_several_sizes_are_drawn_together(tmp_path: Path) -> None:
    path = write(tmp_path, [["a.png", "red", "day"], ["c.png", "green", "night"], ["b.png", "red", "day"]], HEADER[:3])
    cv2.imwrite(str(tmp_path / "b.png"), colours.picture([("red", 0, 0, 20, 20)], (40, 20))[..., ::-1])
    found = audited(path)
    expected = np.zeros((20, 30))
    expected[:10, :10] = 0.5
    expected[:10] += 0.5
    np.testing.assert_allclose(found.cells["red", "day"].mean["colours"], expected, atol=0.03)
    cv2.imwrite(str(tmp_path / "c.png"), colours.picture([("green", 0, 0, 20, 20)], (40, 20))[..., ::-1])
    assert picture(audited(path)).std() > 30


def test_examples_are_kept_of_a_limited_number_of_classes_and_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "MOST_CELLS", 2)
    found = audited(write(tmp_path, LINES))
    assert list(found.cells) == [("red", "day"), ("red", "night")]
    assert found.cells["red", "night"].count == 2
    assert len(found.records) == 5
    assert picture(found).std() > 20


@pytest.mark.parametrize("method", ["guided-backprop", "occlusion"])
def test_maps_of_pixels_and_of_many_runs_are_audited_too(tmp_path: Path, method: str) -> None:
    path = write(tmp_path, [*LINES[:3], *LINES[6:9]])
    found = audited(path, colours=subject(method=method))
    heat_of = {one.image: one.seen["colours"].heat or {} for one in found.records}
    assert heat_of["a.png"]["left"] > 0.9
    assert heat_of["c.png"]["left"] == pytest.approx(0.5, abs=0.1)
    assert picture(found).std() > 20


@pytest.mark.parametrize(
    ("most", "columns", "night"),
    [
        (2, ["as green", "as red", "as another class"], ["1", "1", "0"]),
        (1, ["most often mistaken for"], ["green (1)"]),
    ],
)
def test_the_table_has_a_column_for_each_of_a_few_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, columns: list[str], night: list[str]
) -> None:
    monkeypatch.setattr(tables, "MOST_COLUMNS", most)
    confusion, *_ = audit_report(audited(write(tmp_path, LINES))).renderables
    assert isinstance(confusion, Table)
    texts = {str(column.header): list(map(str, column.cells)) for column in confusion.columns}
    assert list(texts) == ["class", "group", *columns, "right", "95% interval"]
    place = list(zip(texts["class"], texts["group"], strict=True)).index(("red", "night"))
    assert [texts[name][place] for name in columns] == night
    assert texts["right"][place] == "50.0%"


def test_what_cannot_be_audited_is_told_image_by_image(tmp_path: Path) -> None:
    lines = [
        *LINES,
        ["gone.png", "red", "day", "", "", "", ""],
        ["f.png", "red", "", "", "", "", ""],
        ["g.png", "red", "day", "", "", "", ""],
        ["g.png", "green", "day", "", "", "", ""],
        ["h.png", "left", "day", 0, 0, 1, 1],
        ["i.png", "red", "day", "", "", "", ""],
        ["i.png", "left", "night", 0, 0, 5, 5],
        ["j.png", "red", "day", "", "", "", ""],
        ["j.png", "left", "day", 500, 0, 505, 5],
    ]
    path = write(tmp_path, lines)
    for name in "fghij":
        cv2.imwrite(str(tmp_path / f"{name}.png"), colours.picture(PICTURES["a.png"])[..., ::-1])
    failures: list[OnnxplainError] = []
    found = audited(path, failures)
    assert [one.image for one in found.records] == list(PICTURES)
    assert [str(one).split(":")[0] for one in failures] == [
        f"{tmp_path}/gone.png",
        *(f"{name}.png" for name in "fghij"),
    ]
    texts = [str(one) for one in failures]
    for text, words in zip(
        texts,
        (
            "cannot be read",
            "no group",
            "several classes among its labels (red, green)",
            "no class of the model among its labels (left)",
            "both 'day' and 'night'",
            "no pixel in the image",
        ),
        strict=True,
    ):
        assert words in text
    with pytest.raises(OnnxplainError, match=r"gone\.png"):
        audited(path)


def test_an_audit_of_nothing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [["gone.png", "red", "day"], ["a.png", "pink", "night"]], HEADER[:3])
    with pytest.raises(OnnxplainError, match="no image could be audited"):
        audited(path, [])
    path = write(tmp_path, [["a.png", "pink", "day"], ["b.png", "mauve", "night"]], HEADER[:3])
    with pytest.raises(UsageError, match=r"none of its labels \('mauve', 'pink'\) is a class of the model"):
        audited(path, [])


def test_a_mapping_says_what_is_a_class_and_what_a_region(tmp_path: Path) -> None:
    lines = [["a.png", "rose", "day", "", "", "", ""], ["a.png", "red", "day", 0, 0, 10, 5], *LINES[6:8], *LINES[3:6]]
    path = write(tmp_path, lines)
    given: Given = {"rose": ["red", "blue"], "green": [1]}
    found = audited(path, failures := [], colours=subject(given))
    assert [(one.image, one.label) for one in found.records] == [("a.png", "rose"), ("c.png", "green")]
    assert found.records[0].seen["colours"].is_right
    assert found.records[0].seen["colours"].heat == pytest.approx({"red": 0.5})
    assert "no class of the model" in str(failures[0])
