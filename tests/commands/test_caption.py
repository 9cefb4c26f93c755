"""The command `caption`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import onnx
import pytest
from onnxplain import rewrite

from ..engine.language.networks import PHOTO, WORDS, answerer, captioner, greedy_decoder, without
from ..graph_rewrites.networks import small_cnn
from .command_line import Run, assert_refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photo and models of all kinds."""
    cv2.imwrite(str(tmp_path / "photo.png"), cv2.cvtColor(PHOTO, cv2.COLOR_RGB2BGR))
    models = {
        "captioner": captioner(),
        "greedy": greedy_decoder(),
        "stranger": greedy_decoder(vocabulary=[*WORDS[:-1], "below"]),
        "one": answerer(seed=0),
        "wordless": without(captioner(), "text"),
        "silent": captioner(seed=5),
        "classifier": small_cnn(),
    }
    for name, model in models.items():
        onnx.save(model, tmp_path / f"{name}.onnx")
    return tmp_path


def test_a_caption_is_written_and_drawn(folder: Path, run_here: Run) -> None:
    result = run_here(folder, "caption", "captioner.onnx", "photo.png", "-o", "strip.png", "--json")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["caption"] == "square red a"
    words = summary["words"]
    assert [one["word"] for one in words] == ["square", "red", "a"]
    assert summary["log_probability"] == pytest.approx(sum(one["log_probability"] for one in words), abs=1e-5)
    methods = ["grad-cam", "guided-backprop", "guided-grad-cam"]
    explained = [(one["method"], one["target"], one["image"]) for one in summary["explanations"]]
    assert explained == [(method, target, "photo.png") for method in methods for target in range(4)]
    assert summary["picture"] == "strip.png"
    assert cv2.imread(str(folder / "strip.png")).std() > 20
    shown = run_here(
        folder, "caption", "captioner.onnx", "photo.png", "--decoder", "greedy.onnx", "--method", "grad-cam"
    )
    assert shown.returncode == 0, shown.stderr
    assert "square red a" in shown.stdout
    assert f"{words[1]['log_probability']:.3f}" in shown.stdout
    assert (folder / "caption.png").is_file()


def test_a_method_that_the_model_does_not_allow_is_named_and_the_others_drawn(folder: Path, run_here: Run) -> None:
    result = run_here(folder, "caption", "captioner.onnx", "photo.png", "--methods", "cam,grad-cam", "--json")
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: cam: captioner.onnx: CAM needs")
    assert {one["method"] for one in json.loads(result.stdout)["explanations"]} == {"grad-cam"}


def test_an_explained_captioner_needs_no_flags_but_its_method(folder: Path, run_here: Run) -> None:
    onnx.save(rewrite(folder / "captioner.onnx", score="sequence(logits)"), folder / "explained.onnx")
    found = [
        json.loads(run_here(folder, "caption", f"{name}.onnx", "photo.png", "--method", "grad-cam", "--json").stdout)
        for name in ("captioner", "explained")
    ]
    assert found[0]["caption"] == found[1]["caption"]
    assert found[0]["log_probability"] == pytest.approx(found[1]["log_probability"], abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["caption", "captioner.onnx", "photo.png", "--caption", "a rde circle"], 2, ["'rde'", "'red'"]),
        (["caption", "captioner.onnx", "photo.png", "--caption", "a " * 9], 2, ["too long", "9 words, at most 6"]),
        (["caption", "captioner.onnx", "photo.png", "--caption", "?"], 2, ["the caption is empty"]),
        (["caption", "captioner.onnx", "none.png"], 1, ["none.png", "check the path"]),
        (["caption", "none.onnx", "photo.png"], 1, ["none.onnx", "no such file"]),
        (["caption", "classifier.onnx", "photo.png"], 2, ["classifier.onnx", "onnxplain explain"]),
        (["caption", "one.onnx", "photo.png"], 2, ["one.onnx", "onnxplain vqa"]),
        (["caption", "greedy.onnx", "photo.png"], 2, ["greedy.onnx", "--decoder"]),
        (["caption", "wordless.onnx", "photo.png"], 1, ["wordless.onnx", "vocabulary", "docs/language.md"]),
        (["caption", "silent.onnx", "photo.png"], 1, ["silent.onnx", "before the first word", "--caption"]),
        (["caption", "captioner.onnx", "photo.png", "--decoder", "stranger.onnx"], 2, ["stranger.onnx", "'below'"]),
        (["caption", "captioner.onnx", "photo.png", "--decoder", "none.onnx"], 1, ["none.onnx", "no such file"]),
        (["caption", "captioner.onnx", "photo.png", "--layer", "mops"], 2, ["'mops'", "'maps'"]),
        (["caption", "captioner.onnx", "photo.png", "--method", "gradcam"], 2, ["gradcam", "'grad-cam'"]),
        (["caption", "captioner.onnx", "photo.png", "-o", "caption.pdf"], 2, ["caption.pdf", ".png"]),
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
