"""docs/language.md: its examples run, and its tables name what there is."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnxplain.cli import main
from onnxplain.engine.language.vocabulary import Vocabulary
from onnxplain.graph_rewrites.model.metadata import read_metadata

from .engine.language.networks import ANSWERS, CAPTIONS, PHOTO, PREPROCESS, WORDS, answerer, captioner, greedy_decoder

PAGE = Path(__file__).parents[1] / "docs" / "language.md"
TEXT = PAGE.read_text(encoding="utf-8")
QUESTIONS = ["<pad>", "is", "a", "circle", "above", "square", "red", "blue", "the"]


def blocks(language: str) -> list[str]:
    """The page's code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files that the page speaks of, in the working folder."""
    cv2.imwrite(str(tmp_path / "scene.png"), cv2.cvtColor(PHOTO, cv2.COLOR_RGB2BGR))
    answers = [*ANSWERS[:3], "yes", "no"]
    models = {"captioner": captioner(), "greedy": greedy_decoder()}
    for seed, name in enumerate(("vqa", "alexnet", "vgg16", "vgg19")):
        models[name] = answerer(seed=seed, answers=answers, vocabulary=QUESTIONS)
    for name, model in models.items():
        onnx.save(model, tmp_path / f"{name}.onnx")
    exported = captioner()
    del exported.metadata_props[:]
    onnx.save(exported, tmp_path / "exported.onnx")
    (tmp_path / "exported_models").symlink_to(PAGE.parents[1] / "exported_models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands() -> list[str]:
    whole = [block.replace("\\\n", "") for block in blocks("sh")]
    lines = [line.split("#")[0].strip() for block in whole for line in block.splitlines()]
    assert len(lines) == 10
    return lines


def call(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a command of the page in this process."""
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, line


def test_the_commands_run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for line in commands():
        call(line, monkeypatch)
    assert capsys.readouterr().err == ""
    assert {path.name for path in folder.glob("*.png")} == {"scene.png", "caption.png", "vqa.png"}
    assert {path.name for path in folder.glob("explained*.onnx")} == {"explained.onnx", "explained_vqa.onnx"}


def test_the_python_examples_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in commands()[-2:]:
        call(line, monkeypatch)
    found: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, PAGE.name, "exec"), found)
    assert found["caption"].text == "square red a"
    assert {path.name for path in folder.glob("?_*.png")} == {"1_square.png", "2_red.png", "3_a.png"}
    assert [found[name].label for name in ("yes", "no")] == ["yes", "no"]
    assert found["circle"].target == WORDS.index("circle")
    record = read_metadata(onnx.load("captioner.onnx")) or {}
    assert Vocabulary.from_json(record["text"]) == Vocabulary.from_json(CAPTIONS)
    assert record["preprocessing"] == PREPROCESS.to_json()
    again = found["onnxplain"].Captioner("captioner.onnx")("scene.png", "a red circle")
    np.testing.assert_allclose(found["scores"][0], [one.score for one in again.explanations], atol=1e-3)
    assert found["heatmaps"].shape == (1, 4, 8, 8)


def test_the_fields_of_the_record_are_described() -> None:
    described = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`\w+`.*?) \|", TEXT, re.MULTILINE))))
    assert {field.name for field in fields(Vocabulary)} <= described
