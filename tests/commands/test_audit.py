"""The command `audit`, run as a user runs it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import onnx
import pytest

from ..engine.evaluation.colours import PREPROCESS, network, picture
from .command_line import Run, assert_refused

RECTANGLES = {"red": ("red", 2, 2, 12, 12), "green": ("green", 18, 0, 24, 20)}  # in 20 x 30 pixels
HEADER = "image,label,group,x0,y0,x1,y1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images of each class: by day its colour alone, by night more of another's, so that the model is mistaken."""
    model = network()
    onnx.save(model, tmp_path / "colours.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "nameless.onnx")
    lines = []
    for label, other in (("red", "green"), ("green", "red")):
        for number in range(6):
            group = "day" if number < 3 else "night"
            shown = [RECTANGLES[label]] if number < 3 else [("blue", 0, 0, 30, 20), (other, 0, 0, 30, 15)]
            name = f"{label}{number}.png"
            cv2.imwrite(str(tmp_path / name), picture(shown)[..., ::-1])
            lines += [f"{name},{label},{group},,,,", f"{name},upper half,,0,0,30,10"]
    (tmp_path / "data.csv").write_text(HEADER + "\n".join(lines))
    return tmp_path


def test_the_verdict_tables_files_and_picture(folder: Path, run_here: Run) -> None:
    command = ["audit", "colours.onnx", "data.csv", "--preprocess", PREPROCESS]
    result = run_here(folder, *command, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["images"], found["classes"], found["groups"]) == (12, ["green", "red"], ["day", "night"])
    model = found["models"]["colours"]
    assert (model["right"], model["images"]) == (6, 12)
    assert model["mistakes"] == [
        {"class": "red", "group": "night", "called": "green", "images": 3},
        {"class": "green", "group": "night", "called": "red", "images": 3},
    ]
    assert json.loads((folder / "audit" / "audit.json").read_text()) == found
    assert sorted(path.name for path in (folder / "audit").iterdir()) == [
        "audit.json",
        "confusion.csv",
        "heat.csv",
        "images.csv",
        "maps.png",
    ]
    with (folder / "audit" / "images.csv").open() as file:
        heat = {row["image"]: float(row["heat in upper half"]) for row in csv.DictReader(file)}
    assert heat["red0.png"] == pytest.approx(8 / 10)
    assert heat["green0.png"] == pytest.approx(1 / 2)
    assert heat["red5.png"] == pytest.approx(10 / 15)
    assert cv2.imread(str(folder / "audit" / "maps.png")).std() > 30
    printed = " ".join(run_here(folder, *command).stdout.split())
    assert "Mistakes: 6; 3 red of night called green" in printed
    assert "Heat in upper half: 65.8% against 50.0% of the area" in printed
    assert "12 of 12 images; audit" in printed


def test_two_models_and_failures(folder: Path, run_here: Run) -> None:
    with (folder / "data.csv").open("a") as file:
        file.write("\n" + "\n".join(f"gone{number}.png,red,day,,,," for number in range(12)))
    (folder / "labels.txt").write_text("green\nred\nblue\n")
    command = ["audit", "colours.onnx", "data.csv", "--against", "nameless.onnx", "--preprocess", PREPROCESS]
    result = run_here(folder, *command, "--labels", "labels.txt", "--true-class", "-o", "both")
    assert result.returncode == 1
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 11
    assert "gone0.png: cannot be read" in lines[0]
    assert lines[-1] == "error: 2 more images failed; both/audit.json lists all of them"
    found = json.loads((folder / "both" / "audit.json").read_text())
    assert len(found["failures"]) == 12
    assert list(found["models"]) == ["colours", "nameless"]
    assert found["against"][0] == "Right: colours in 6 of 12 (50%), nameless in 6 of 12 (50%)."
    assert "side by side" in result.stdout


def test_methods_of_many_runs_and_their_options(folder: Path, run_here: Run) -> None:
    command = ["audit", "colours.onnx", "data.csv", "--preprocess", PREPROCESS, "--json"]
    result = run_here(folder, *command, "--method", "occlusion", "--option", "size=4")
    assert result.returncode == 0, result.stderr
    (heat, *_) = json.loads(result.stdout)["models"]["colours"]["heat"]
    assert heat["heat"] > heat["area"] == 0.5
    assert_refused(run_here(folder, *command, "--option", "size=4"), 2, "size")


def test_groups_and_classes_of_a_data_set_without_them(folder: Path, run_here: Run) -> None:
    """Regions as COCO has them; the rest in a table."""
    names = sorted(path.name for path in folder.glob("*.png"))
    coco = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "categories": [{"id": 1, "name": "corner"}],
        "annotations": [{"image_id": number, "category_id": 1, "bbox": [0, 0, 12, 12]} for number in range(len(names))],
    }
    (folder / "regions.json").write_text(json.dumps(coco))
    with (folder / "data.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["group"]]
    table = "\n".join(f"{row['image']},{row['group']},{row['label']}" for row in rows)
    (folder / "table.csv").write_text(f"image,time,label\n{table}\n")
    command = ["audit", "colours.onnx", "regions.json", "--groups", "table.csv", "--group", "time", "--json"]
    result = run_here(folder, *command, "--preprocess", PREPROCESS)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["regions"] == ["corner"]
    heat = {(one["class"], one["group"]): one["heat"] for one in found["models"]["colours"]["heat"]}
    assert heat["red", "day"] == pytest.approx(1)
    assert heat["green", "day"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["colours.onnx", "none.csv"], 1, ["none.csv", "no such annotation file"]),
        (["none.onnx", "data.csv"], 1, ["none.onnx", "no such file"]),
        (["colours.onnx", "data.csv", "--group", "sex"], 2, ["data.csv", "has no column 'sex'", "--group"]),
        (["colours.onnx", "plain.csv"], 2, ["plain.csv", "has no column 'group'", "--groups"]),
        (["colours.onnx", "plain.csv", "--groups", "one.csv"], 2, ["one.csv", "all images are of the group 'day'"]),
        (["colours.onnx", "empty.csv"], 2, ["empty.csv", "annotates no image"]),
        (["colours.onnx", "lost.csv"], 2, ["lost.csv", "none of its images"]),
        (["colours.onnx", "pink.csv"], 2, ["pink.csv", "'mauve', 'pink'", "--mapping"]),
        (["nameless.onnx", "data.csv"], 2, ["data.csv", "none of its labels", "--labels"]),
        (["colours.onnx", "data.csv", "--against", "./colours.onnx"], 2, ["is the same model"]),
        (["colours.onnx", "data.csv", "--against", "none.onnx"], 1, ["none.onnx", "no such file"]),
        (["colours.onnx", "data.csv", "--score", "max(scores, axis=1)"], 2, ["colours", "classifier"]),
        (["colours.onnx", "data.csv", "--layer", "fetures"], 2, ["'fetures'", "'features'"]),
        (["colours.onnx", "data.csv", "--method", "gradcam"], 2, ["gradcam", "'grad-cam'"]),
        (["colours.onnx", "data.csv", "-o", "data.csv"], 1, ["data.csv", "cannot be made"]),
    ],
)
def test_bad_input_is_one_line(
    folder: Path,
    run_here: Run,
    arguments: list[str],
    code: int,
    words: list[str],
) -> None:
    (folder / "plain.csv").write_text("image,label\nred0.png,red\ngreen0.png,green\n")
    (folder / "one.csv").write_text("image,group\nred0.png,day\ngreen0.png,day\n")
    (folder / "empty.csv").write_text(HEADER)
    (folder / "lost.csv").write_text(HEADER + "lost.png,red,day,,,,\nlost.png,red,night,,,,\n")
    (folder / "pink.csv").write_text(HEADER + "red0.png,pink,day,,,,\nred1.png,mauve,night,,,,\n")
    before = sorted(folder.iterdir())
    assert_refused(run_here(folder, "audit", *arguments, "--preprocess", PREPROCESS), code, *words)
    assert sorted(folder.iterdir()) == before
