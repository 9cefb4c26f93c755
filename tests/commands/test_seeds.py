"""The command `seeds`, run in this process, which spares the time to load it each time."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import onnx
import pytest
from onnxplain.cli import main
from onnxplain.engine.datasets.voc import VOID, read_indices

from ..engine.evaluation.colours import PREPROCESS, SCENES, network, picture


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]

BASE = ["seeds", "colours.onnx", "--preprocess", PREPROCESS, "--grid", "10"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of colours, and four images of rectangles with their classes."""
    onnx.save(network(), tmp_path / "colours.onnx")
    (tmp_path / "images").mkdir()
    lines = []
    for name, rectangles in SCENES.items():
        cv2.imwrite(str(tmp_path / "images" / name), picture(rectangles)[..., ::-1])
        lines += [[name, colour] for colour in dict.fromkeys(one[0] for one in rectangles)]
    with (tmp_path / "classes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label"], *lines])
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `onnxplain ARGUMENTS` in the folder."""

    def ended(*arguments: str) -> Ended:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["onnxplain", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        code = stopped.value.code
        return Ended(code if isinstance(code, int) else 0, *capsys.readouterr())

    return ended


def test_seeds_are_a_png_and_cues_with_the_same_classes(folder: Path, run: Run) -> None:
    result = run(*BASE, "images/a.png", "-t", "top2", "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["failures"] == []
    (image,) = found["images"]
    # The image has 20 x 30 pixels, and a cell 2 x 3 of them; red lies in 3:13, 2:12, green in 2:8, 20:26.
    with np.load(folder / "seeds" / "a.npz") as cues:
        assert cues["labels"].tolist() == [1, 2]
        classes, rows, columns = cues["cues"]
        assert cues["cues"].dtype == cues["labels"].dtype == np.int64
    cells = np.full((10, 10), VOID)
    cells[rows, columns] = classes
    assert (cells[2:6, 1:4] == 1).all()
    assert (cells[1:4, 7:8] == 2).all()
    assert (cells[8:] == 0).all()
    assert {one["label"]: one["cells"] for one in image["cells"]} == {
        name: int((cells == value).sum()) for value, name in enumerate(("background", "red", "green"))
    }
    indices = read_indices(folder / "seeds" / "a.png")
    np.testing.assert_array_equal(indices, cells.repeat(2, axis=0).repeat(3, axis=1))
    drawn = np.asarray(cv2.imread(str(folder / "seeds" / "a.png")))
    colours = {0: (0, 0, 0), 1: (0, 0, 128), 2: (0, 128, 0), VOID: (192, 224, 224)}  # VOC's, blue first
    for value, colour in colours.items():
        assert (drawn[indices == value] == colour).all()
    listed = (folder / "seeds" / "classes.csv").read_text().splitlines()
    assert listed == ["value,class", "0,background", "1,red", "2,green", "3,blue", "255,"]


def test_a_run_goes_on_where_it_stopped_and_another_is_refused(folder: Path, run: Run) -> None:
    (folder / "images" / "broken.png").write_bytes(b"\x89PNG")
    first = run(*BASE, "images/d.png", "images/broken.png")
    assert first.code == 1
    assert "images/broken.png" in first.err
    assert "seeds of 1 image" in first.out
    kept = (folder / "seeds" / "d.png").stat().st_mtime_ns
    cv2.imwrite(str(folder / "images" / "broken.png"), picture(SCENES["b.png"])[..., ::-1])
    again = run(*BASE, "images", "--json")
    assert again.code == 0, again.err
    found = json.loads(again.out)
    assert found["resumed"] == 1
    assert [Path(one["image"]).name for one in found["images"]] == sorted([*SCENES, "broken.png"])
    assert (folder / "seeds" / "d.png").stat().st_mtime_ns == kept
    other = run(*BASE, "images", "--foreground", "0.5")
    assert other.code == 2
    assert "another run, which differs in rules" in other.err


def test_annotations_say_which_classes_there_are_and_their_values(folder: Path, run: Run) -> None:
    command = [*BASE, "images", "--annotations", "classes.csv"]
    result = run(*command, "--json")
    assert result.code == 0, result.err
    labels = {
        one["image"]: {cell["label"]: cell["value"] for cell in one["cells"]}
        for one in json.loads(result.out)["images"]
    }
    # Values in the order in which the file names the classes.
    assert labels["a.png"] == {"background": 0, "red": 1, "green": 2}
    assert labels["c.png"] == {"background": 0, "blue": 3, "red": 1}
    (folder / "mapping.csv").write_text("red,0\nblue,2\ngreen,\n")
    mapped = run(*command, "--mapping", "mapping.csv", "-o", "mapped")
    assert mapped.code == 1
    assert "b.png: shows no class" in mapped.err.replace("images/", "")
    assert not (folder / "mapped" / "b.png").exists()
    assert "green" not in mapped.out


def test_images_of_one_name_do_not_overwrite_each_other(folder: Path, run: Run) -> None:
    (folder / "more").mkdir()
    cv2.imwrite(str(folder / "more" / "A.png"), picture(SCENES["b.png"])[..., ::-1])
    (folder / "images" / "a.png").rename(folder / "more" / "a.jpg.png")
    result = run(*BASE, "more", "images/d.png", "--json")
    assert result.code == 0, result.err
    stems = [one["stem"] for one in json.loads(result.out)["images"]]
    assert len({stem.lower() for stem in stems}) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, ["no images given"]),
        (["images", "--annotations", "classes.csv", "-t", "red"], 2, ["--target and --above"]),
        (["images", "--mapping", "classes.csv"], 2, ["--annotations"]),
        (["images", "images", "--annotations", "classes.csv"], 2, ["one folder"]),
        (["images", "-t", "pink"], 2, ["'pink'"]),
        (["images", "--method", "grad-camm"], 2, ["grad-camm", "grad-cam"]),
        (["images", "--layer", "nowhere"], 2, ["'nowhere'"]),
        (["images", "-o", "colours.onnx"], 1, ["colours.onnx"]),
        (["images", "--annotations", "none.csv"], 1, ["none.csv"]),
        (["images", "--foreground", "1.5"], 2, ["--foreground"]),
        (["images", "--background", "-1"], 2, ["--background"]),
        (["images", "--above", "2"], 2, ["--above"]),
        (["images", "--grid", "0"], 2, ["--grid"]),
    ],
)
def test_what_is_wrong_is_one_line(folder: Path, run: Run, arguments: list[str], code: int, words: list[str]) -> None:
    ended = run(*BASE, *arguments)
    assert ended.code == code
    assert all(word in ended.err for word in words), ended.err
    assert not list(folder.glob("seeds/*"))


def test_without_arguments_the_embedded_photo_has_seeds(tmp_path: Path, run: Run) -> None:
    result = run("seeds")
    assert result.code == 0, result.err
    assert "Egyptian cat" in result.out
    indices = read_indices(tmp_path / "seeds" / "chelsea.png")
    # Of 1000 classes, which no PNG of 8 bits holds, the first to occur has the value 1.
    assert set(np.unique(indices)) == {0, 1, VOID}
    assert (tmp_path / "seeds" / "classes.csv").read_text() == "value,class\n0,background\n1,Egyptian cat\n255,\n"
