"""Captions and answers by method and model: what is explained, and the pictures of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnxplain import OnnxplainError, UsageError
from onnxplain.engine.images.files import write_image
from onnxplain.engine.language.comparison import (
    answer_picture,
    answers_by_model,
    caption_picture,
    captions_by_method,
    short_names,
)
from onnxplain.engine.render.contact_sheet import LINE, MARGIN, TILE

from .networks import ANSWERS, PHOTO, answerer, captioner, greedy_decoder

SQUARE = PHOTO[:, :12]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photo, a captioner with its decoder, and two question answerers."""
    write_image(tmp_path / "photo.png", np.ascontiguousarray(SQUARE))
    models = {"captioner": captioner(), "decoder": greedy_decoder(), "one": answerer(seed=0), "two": answerer(seed=3)}
    for name, model in models.items():
        onnx.save(model, tmp_path / f"{name}.onnx")
    return tmp_path


def tiles(sheet: np.ndarray, rows: int, columns: int) -> list[list[np.ndarray]]:
    """The pictures of a sheet, each where the 12 x 12 photo's pixels have their middles."""
    step = TILE + LINE + MARGIN
    heading = len(sheet) - (LINE + MARGIN + rows * step)
    top = heading + LINE + MARGIN
    left = next(x for x in range(sheet.shape[1]) if (sheet[top : top + TILE, x] != 255).any(1).all())
    middles = np.round((np.arange(12) + 0.5) * TILE / 12).astype(int)
    return [
        [
            sheet[np.ix_(top + row * step + middles, left + column * (TILE + MARGIN) + middles)]
            for column in range(columns)
        ]
        for row in range(rows)
    ]


def assert_shows(tile: np.ndarray, picture: np.ndarray) -> None:
    assert np.median(np.abs(tile.astype(int) - picture)) <= 8


def test_a_caption_is_drawn_word_by_word_and_method_by_method(folder: Path) -> None:
    methods = ["grad-cam", "guided-backprop"]
    captions = captions_by_method(folder / "captioner.onnx", folder / "photo.png", methods=methods)
    words = captions["grad-cam"].words
    drawn = tiles(caption_picture(captions), len(words) + 1, 3)
    for row in range(len(words) + 1):
        expected = [SQUARE, *(captions[method].explanations[row].picture() for method in methods)]
        for tile, picture in zip(drawn[row], expected, strict=True):
            assert_shows(tile, picture)


def test_a_decoder_writes_the_caption_that_all_methods_explain(folder: Path) -> None:
    model, photo = folder / "captioner.onnx", folder / "photo.png"
    methods = ["grad-cam", "occlusion"]
    alone, decoded = (
        captions_by_method(model, photo, methods=methods, decoder=file) for file in (None, folder / "decoder.onnx")
    )
    assert {caption.text for captions in (alone, decoded) for caption in captions.values()} == {alone["grad-cam"].text}
    with pytest.raises(UsageError, match=r"a caption is given.*leave --caption or --decoder out"):
        captions_by_method(model, photo, "a red circle", decoder=folder / "decoder.onnx")


def test_models_and_answers_are_rows(folder: Path) -> None:
    models = [folder / "one.onnx", folder / "two.onnx"]
    answers = answers_by_model(models, folder / "photo.png", "a red?", ["red", "2"], methods=["grad-cam", "gradient"])
    assert list(answers) == ["one", "two"]
    assert answers["one"]["grad-cam"].answers != answers["two"]["grad-cam"].answers
    drawn = tiles(answer_picture(answers), 4, 3)
    for row, (model, index) in enumerate((model, index) for model in answers for index in range(2)):
        expected = [SQUARE, *(found.explanations[index].picture() for found in answers[model].values())]
        for tile, picture in zip(drawn[row], expected, strict=True):
            assert_shows(tile, picture)


def test_each_model_explains_its_own_top_answer(folder: Path) -> None:
    answers = answers_by_model([folder / "one.onnx", folder / "two.onnx"], folder / "photo.png", "a red above?")
    for methods in answers.values():
        assert list(methods) == ["grad-cam", "guided-backprop", "guided-grad-cam"]
        for found in methods.values():
            assert [one.label for one in found.explanations] == [found.answers[0].text]


def test_what_is_no_method_s_fault_is_raised_once(folder: Path) -> None:
    told: list[OnnxplainError] = []
    photo, (one, captioner_file) = folder / "photo.png", (folder / "one.onnx", folder / "captioner.onnx")
    onnx.save(answerer(answers=[*ANSWERS[:3], "no"], seed=3), folder / "other.onnx")
    calls: list[tuple[Callable[..., Any], list[Any], str]] = [
        (captions_by_method, [captioner_file, folder / "no.png"], "no.png"),
        (captions_by_method, [captioner_file, photo, "a rde"], "'rde'"),
        (captions_by_method, [one, photo], "one.onnx: scores whole answers"),
        (answers_by_model, [[one], folder / "no.png", "a red"], "no.png"),
        (answers_by_model, [[one, captioner_file], photo, "a"], "captioner.onnx: scores words"),
        (answers_by_model, [[one, folder / "other.onnx"], photo, "a", ["yes"]], "other.onnx: has no answer 'yes'"),
    ]
    for call, arguments, message in calls:
        with pytest.raises(OnnxplainError, match=message):
            call(*arguments, on_error=told.append)
    assert not told


def test_files_are_called_by_what_tells_them_apart(tmp_path: Path) -> None:
    paths = [Path("a/vgg.onnx"), Path("b/vgg.onnx"), Path("./a/vgg.onnx")]
    assert short_names(paths) == {"a/vgg": Path("./a/vgg.onnx"), "b/vgg": Path("b/vgg.onnx")}
    assert short_names([Path("models/vgg.v2.onnx")]) == {"vgg.v2": Path("models/vgg.v2.onnx")}
    assert list(short_names([Path("a.onnx"), Path("a.ort")])) == ["a", "a.ort"]
