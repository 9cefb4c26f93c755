"""A command reads a model's file once, and brings it into canonical form once, whatever it then makes of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import onnx
import pytest
from onnxplain.graph_rewrites.model import model as reading

from ..engine.evaluation.colours import PREPROCESS, SCENES, network, write_scenes
from ..engine.language.networks import PHOTO, answerer, captioner, greedy_decoder
from ..graph_rewrites.networks import residual_cnn, small_cnn
from .command_line import Run

PLAIN = ["photo.png", "--preprocess", "raw,scale=1/255"]
COLOURS = ["--preprocess", PREPROCESS]
SEVERAL = ["--methods", "grad-cam,gradient,occlusion,score-cam"]

METRICS = ["--metrics", "energy,drop,occlusion"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos, data and models; each model's graph is called as its file is."""
    write_scenes(tmp_path)
    cv2.imwrite(str(tmp_path / "photo.png"), cv2.cvtColor(PHOTO, cv2.COLOR_RGB2BGR))
    lines = [f"{name},{SCENES[name][0][0]},{group}" for name in SCENES for group in ["day" if name < "c" else "night"]]
    (tmp_path / "groups.csv").write_text("image,label,group\n" + "\n".join(lines))
    models = {
        "plain": small_cnn(),
        "residual": residual_cnn(),
        "colours": network(),
        "others": network(),
        "captioner": captioner(),
        "greedy": greedy_decoder(),
        "one": answerer(seed=0),
        "two": answerer(seed=3, answers=["red", "green", "2", "yes"]),
    }
    for name, model in models.items():
        model.graph.name = name
        onnx.save(model, tmp_path / f"{name}.onnx")
    return tmp_path


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> tuple[Counter[str], Counter[str]]:
    """How often each model's file is read, and how often each model that is not an explained one is canonicalised."""
    read, canonicalised = Counter[str](), Counter[str]()
    load, canonicalise = onnx.load, reading.canonicalise

    def counted_load(path: Path, *arguments: Any, **more: Any) -> onnx.ModelProto:
        read[Path(path).stem] += 1
        return load(path, *arguments, **more)

    def counted_canonicalise(proto: onnx.ModelProto) -> Any:
        records = [json.loads(entry.value) for entry in proto.metadata_props if entry.key == "onnxplain"]
        if not any("method" in record or "records" in record for record in records):
            canonicalised[proto.graph.name] += 1
        return canonicalise(proto)

    monkeypatch.setattr(onnx, "load", counted_load)
    monkeypatch.setattr(reading, "canonicalise", counted_canonicalise)
    return read, canonicalised


@pytest.mark.parametrize(
    ("models", "arguments"),
    [
        (["plain"], ["explain", "plain.onnx", "a.png", *PLAIN, "-t", "top2"]),
        (["plain"], ["explain", "plain.onnx", *PLAIN, "--method", "score-cam"]),
        (["plain"], ["explain", "plain.onnx", *PLAIN, "--method", "ablation-cam"]),
        (["plain"], ["compare", "plain.onnx", *PLAIN, *SEVERAL]),
        (["plain"], ["compare", "plain.onnx", *PLAIN, "--methods", "grad-cam,gradient", "--layers", "all"]),
        (["plain"], ["report", "plain.onnx", "a.png", *PLAIN, *SEVERAL]),
        (["plain"], ["occlude", "plain.onnx", *PLAIN, "--size", "4", "--size", "8", "--against", "grad-cam"]),
        (["plain"], ["layers", "plain.onnx"]),
        (["plain"], ["rewrite", "plain.onnx", "-o", "explained.onnx"]),
        (["plain"], ["check", "plain.onnx"]),
        (["plain"], ["check", "plain.onnx", "--score", "logits[:, 1:]"]),
        (["captioner"], ["caption", "captioner.onnx", "photo.png"]),
        (["captioner", "greedy"], ["caption", "captioner.onnx", "photo.png", "--decoder", "greedy.onnx"]),
        (["one", "two"], ["vqa", "one.onnx", "photo.png", "a red circle?", "--beside", "two.onnx"]),
        (["colours"], ["evaluate", "colours.onnx", "boxes.csv", *COLOURS, *SEVERAL, *METRICS]),
        (["plain"], ["ablate", "plain.onnx", *PLAIN]),
        (["residual"], ["sweep", "residual.onnx", *PLAIN, "--layers", "blocks"]),
        (["colours"], ["seeds", "colours.onnx", "a.png", *COLOURS]),
        (["colours", "others"], ["audit", "colours.onnx", "groups.csv", "--against", "others.onnx", *COLOURS]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_model_is_read_and_canonicalised_once(
    folder: Path,
    run_here: Run,
    counts: tuple[Counter[str], Counter[str]],
    models: list[str],
    arguments: list[str],
) -> None:
    result = run_here(folder, *arguments)
    assert result.returncode == 0, result.stderr
    read, canonicalised = counts
    assert read == dict.fromkeys(models, 1)
    assert canonicalised == dict.fromkeys(set(models) - {"greedy"}, 1)  # a decoder is run as it is


def test_a_model_whose_weights_are_drawn_anew_is_another_one_each_time(
    folder: Path,
    run_here: Run,
    counts: tuple[Counter[str], Counter[str]],
) -> None:
    command = ["evaluate", "colours.onnx", "boxes.csv", *COLOURS, "--methods", "grad-cam,gradient"]
    result = run_here(folder, *command, "--metrics", "randomisation")
    assert result.returncode == 0, result.stderr
    assert counts == ({"colours": 1}, {"colours": 1 + 3})
