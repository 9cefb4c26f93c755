"""The command `evaluate`, run as a user runs it."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

import pytest
from onnxplain.cli import main

from ..engine.evaluation.colours import PREPROCESS, write_scenes
from .command_line import Run, assert_refused

BASE = ("evaluate", "colours.onnx", "boxes.csv", "--preprocess", PREPROCESS)


def test_many_methods_and_metrics_in_one_go(tmp_path: Path, run_here: Run) -> None:
    write_scenes(tmp_path, gone=["gone.png", "<b>red", "1", "1", "2", "2"])
    text = "red,red\ngreen,green\nblue,blue\n<b>red,red\n"
    (tmp_path / "map.csv").write_text(text)
    command = (*BASE, "--mapping", "map.csv", "--methods", "grad-cam,gradient", "--metrics", "pointing,energy,drop")
    result = run_here(tmp_path, *command, "--tolerance", "0", "--rank-by", "energy", "-o", "out", "--json")
    assert result.returncode == 1
    assert (
        result.stderr.strip()
        == "error: gone.png: cannot be read as an image (No such file or directory); check the path"
    )
    found = json.loads(result.stdout)
    assert (found["measured"], found["resumed"], len(found["failures"])) == (4, 0, 1)
    assert list(found["figures"]) == ["grad-cam", "gradient", "centre"]
    assert found["figures"]["grad-cam"]["pointing"] == 1
    assert "average drop" not in found["figures"]["centre"]
    with (tmp_path / "out" / "summary.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    for method, figures in found["figures"].items():
        assert {column: float(rows[method][column]) for column in figures} == figures
    with (tmp_path / "out" / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * (2 * 3 + 2)  # the centre has no drop
    energy = next(
        row for row in rows if (row["image"], row["metric"], row["method"]) == ("b.png", "energy", "grad-cam")
    )
    assert float(energy["value"]) == float(energy["grade"]) == pytest.approx(1, abs=1e-6)
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("data:image/webp") == 2 * 6  # all cases are best or worst ones
    assert "grad-cam, by energy" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "4 of 5 images measured" in page
    again = run_here(tmp_path, *command, "--tolerance", "0", "-o", "out")
    assert "4 of 5 images, 4 of them before" in " ".join(again.stdout.split())
    assert "energy inside \N{UPWARDS ARROW}" in again.stdout


def test_long_lists_of_failures_are_cut_short(tmp_path: Path, run_here: Run) -> None:
    more = {f"f{index}": [f"<i>{index}.png", "red", "1", "1", "2", "2"] for index in range(13)}
    write_scenes(tmp_path, **more)
    result = run_here(tmp_path, *BASE, "--metric", "energy")
    lines = result.stderr.strip().splitlines()
    assert (result.returncode, len(lines)) == (1, 11)
    assert lines[-1] == "error: 3 more images failed; evaluation/results.jsonl lists all of them"
    page = (tmp_path / "evaluation" / "index.html").read_text()
    assert "13 images could not be measured" in page
    assert "<i>" not in page


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["colours.onnx", "none.json"], 1, ["none.json", "no such annotation file"]),
        (["none.onnx", "boxes.csv"], 1, ["none.onnx", "no such file"]),
        (["colours.onnx", "colours.onnx"], 2, ["colours.onnx", "not a data set that is known"]),
        (["colours.onnx", "boxes.csv", "--images", "none"], 1, ["none", "--images"]),
        (["colours.onnx", "boxes.csv", "--images", "empty"], 2, ["none of its images", "--images"]),
        (["colours.onnx", "boxes.csv", "--metric", "pointng"], 2, ["'pointng'", "'pointing'"]),
        (["colours.onnx", "boxes.csv", "--method", "gradcam"], 2, ["gradcam", "'grad-cam'"]),
        (["colours.onnx", "boxes.csv", "--mapping", "none.csv"], 1, ["none.csv", "cannot be read"]),
        (["colours.onnx", "boxes.csv", "--mapping", "map.csv"], 2, ["map.csv", "2 classes", "'green', 'blue'"]),
        (["colours.onnx", "boxes.csv", "--mapping", "wrong.csv"], 2, ["wrong.csv", "'rde'", "'red'"]),
        (["colours.onnx", "boxes.csv", "--crops", "5"], 2, ["--crops must be 1 or 10"]),
        (["colours.onnx", "boxes.csv", "--crops", "10"], 2, ["ten crops", "resize=256"]),
        (["colours.onnx", "boxes.csv", "--rank-by", "drop"], 2, ["'drop'", "is not measured"]),
        (
            ["colours.onnx", "boxes.csv", "--metric", "rejection", "--rank-by", "rejection"],
            2,
            ["grades no single images"],
        ),
        (["colours.onnx", "boxes.csv", "--layer", "fetures"], 2, ["'fetures'", "'features'"]),
        (["colours.onnx", "boxes.csv", "-o", "boxes.csv"], 1, ["boxes.csv", "cannot be made"]),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    run_here: Run,
    arguments: list[str],
    code: int,
    words: list[str],
) -> None:
    write_scenes(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "map.csv").write_text("red,red\n")
    (tmp_path / "wrong.csv").write_text("red,rde\n")
    before = sorted(tmp_path.iterdir())
    assert_refused(run_here(tmp_path, "evaluate", *arguments, "--preprocess", PREPROCESS), code, *words)
    assert sorted(tmp_path.iterdir()) == before


def test_without_ray_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scenes(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(sys, "argv", ["onnxplain", *BASE, "--ray"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.strip() == "error: Ray is not installed; run: pip install 'onnxplain[ray]'"
