"""The command `vqa`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import onnx
import pytest

from ..engine.language.networks import PHOTO, WORDS, answerer, captioner
from ..graph_rewrites.networks import small_cnn
from .command_line import Run, assert_refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photo and models of all kinds."""
    cv2.imwrite(str(tmp_path / "photo.png"), cv2.cvtColor(PHOTO, cv2.COLOR_RGB2BGR))
    models = {
        "captioner": captioner(),
        "one": answerer(seed=0),
        "two": answerer(seed=3, answers=["red", "green", "2", "yes"]),
        "open": answerer(vocabulary=["<unknown>", *WORDS[1:]], pad=None, unknown="<unknown>"),
        "classifier": small_cnn(),
    }
    for name, model in models.items():
        onnx.save(model, tmp_path / f"{name}.onnx")
    return tmp_path


def test_a_question_is_answered_by_several_models(folder: Path, run_here: Run) -> None:
    command = [
        "vqa",
        "one.onnx",
        "photo.png",
        "a red circle?",
        "--beside",
        "two.onnx",
        "--methods",
        "grad-cam,occlusion",
    ]
    result = run_here(folder, *command, "--answer", "2", "--answer", "red", "--json")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["question"] == "a red circle?"
    assert [one["model"] for one in summary["models"]] == ["one", "two"]
    for model in summary["models"]:
        shares = [answer["probability"] for answer in model["answers"]]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        explained = [(one["method"], one["label"]) for one in model["explanations"]]
        assert explained == [(method, answer) for method in ("grad-cam", "occlusion") for answer in ("2", "red")]
    assert cv2.imread(str(folder / "vqa.png")).std() > 20


def test_an_unknown_word_is_told_where_the_model_takes_it(folder: Path, run_here: Run) -> None:
    result = run_here(folder, "vqa", "open.onnx", "photo.png", "a crimson circle", "--method", "grad-cam")
    assert result.returncode == 0
    assert result.stderr.strip() == "note: open does not know 'crimson' and reads it as an unknown word"
    assert "a crimson circle" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["vqa", "one.onnx", "photo.png", "what colour?"], 2, ["'what'", "does not know"]),
        (["vqa", "one.onnx", "photo.png", "a " * 7], 2, ["question too long: 7 words, at most 6"]),
        (["vqa", "one.onnx", "photo.png", ""], 2, ["the question is empty"]),
        (["vqa", "one.onnx", "photo.png", "a red", "--answer", "bleu"], 2, ["one.onnx", "'bleu'", "'blue'"]),
        (
            ["vqa", "one.onnx", "photo.png", "a red", "--answer", "blue", "--beside", "two.onnx"],
            2,
            ["two.onnx", "'blue'"],
        ),
        (["vqa", "captioner.onnx", "photo.png", "a red"], 2, ["captioner.onnx", "onnxplain caption"]),
        (["vqa", "classifier.onnx", "photo.png", "a red"], 2, ["classifier.onnx", "onnxplain explain"]),
        (["vqa", "one.onnx", "photo.png", "a red", "--beside", "none.onnx"], 1, ["none.onnx", "no such file"]),
        (["vqa", "one.onnx", "one.onnx", "a red"], 1, ["one.onnx", "not a JPEG"]),
    ],
)
def test_bad_input_is_one_line(
    folder: Path,
    run_here: Run,
    arguments: list[str],
    code: int,
    words: list[str],
) -> None:
    before = sorted(folder.iterdir())
    assert_refused(run_here(folder, *arguments), code, *words)
    assert sorted(folder.iterdir()) == before
