"""Comparisons of methods, layers and classes, and the picture of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnxplain import Explainer, OnnxplainError, UsageError
from onnxplain.engine.compare import Comparison, by_method, compare
from onnxplain.engine.images.files import Image
from onnxplain.engine.render.contact_sheet import LINE, MARGIN, TILE, contact_sheet
from onnxplain.engine.render.overlays import colourise

from ..graph_rewrites.networks import small_cnn

Array = np.ndarray
ARGUMENTS = {"preprocess": "raw,scale=1/255"}


@pytest.fixture
def photo() -> Array:
    return np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)


def test_methods_by_layers(photo: Array) -> None:
    model = small_cnn()
    methods = ["grad-cam", "layer-cam", "guided-backprop"]
    got = compare(model, photo, methods=methods, layers="all", target=1, **ARGUMENTS)
    assert got.rows == methods
    assert got.columns == ["relu1", "pool1", "relu2", "input"]
    assert ("guided-backprop", "relu1") not in got.cells
    for layer in ("relu1", "pool1", "relu2"):
        (alone,) = Explainer(model, method="layer-cam", layers=layer, **ARGUMENTS)(photo, 1)
        np.testing.assert_allclose(got.cells["layer-cam", layer].cam, alone.cam, rtol=1e-4, atol=1e-7)
        assert got.cells["layer-cam", layer].layer == layer
    (alone,) = Explainer(model, method="guided-backprop", **ARGUMENTS)(photo, 1)
    np.testing.assert_allclose(got.cells["guided-backprop", "input"].heatmap, alone.heatmap, atol=1e-6)


def test_methods_by_classes(photo: Array) -> None:
    got = compare(small_cnn(), photo, methods=["grad-cam", "occlusion"], target=[3, 0], **ARGUMENTS)
    assert [column.split()[0] for column in got.columns] == ["3", "0"]
    assert {one.target for one in got.cells.values()} == {0, 3}
    assert all(one.method == method for (method, _), one in got.cells.items())


def test_rows_are_stacked(photo: Array) -> None:
    part = compare(small_cnn(), photo, methods=["grad-cam"], target=1, **ARGUMENTS)
    both = Comparison.stacked({"a": part, "b": part})
    assert (both.rows, both.columns) == (["a", "b"], part.columns)
    assert both.cells["a", part.columns[0]] is both.cells["b", part.columns[0]]


def test_a_method_that_fails_is_left_out_and_told() -> None:
    def explain(method: str) -> str:
        if method in ("cam", "mwp"):
            raise OnnxplainError("not of this model")
        return method.upper()

    told: list[str] = []
    found = by_method(["mwp", "gradient", "cam", "gradient"], explain, lambda error: told.append(str(error)))
    assert found == {"gradient": "GRADIENT"}
    assert told == ["mwp: not of this model", "cam: not of this model"]
    with pytest.raises(OnnxplainError, match="not of this model"):
        by_method(["gradient", "cam"], explain)
    with pytest.raises(OnnxplainError, match="none of the methods explains this model"):
        by_method(["cam"], explain, lambda error: None)


def tile_at(sheet: Image, top: int, column: int) -> Image:
    """The picture in a column of a sheet; `top` is its first row of pixels."""
    left = next(x for x in range(sheet.shape[1]) if (sheet[top : top + TILE, x] != 255).any(1).all())
    left += column * (TILE + MARGIN)
    return sheet[top : top + TILE, left : left + TILE]


def test_the_picture_holds_each_explanation_in_its_place(photo: Array) -> None:
    got = compare(small_cnn(), photo, methods=["grad-cam", "mwp"], layers=["relu1", "relu2"], target=1, **ARGUMENTS)
    sheet = contact_sheet(got)
    assert sheet.dtype == np.uint8
    assert sheet.shape[0] == LINE + MARGIN + 2 * (TILE + LINE + MARGIN)
    for i, row in enumerate(got.rows):
        for j, column in enumerate(got.columns):
            tile = tile_at(sheet, LINE + MARGIN + i * (TILE + LINE + MARGIN), j)
            assert_shows(tile, got.cells[row, column].picture())


def test_a_heading_and_the_photo_stand_before_the_explanations(photo: Array) -> None:
    got = compare(small_cnn(), photo, methods=["grad-cam", "mwp"], target=1, **ARGUMENTS)
    plain = contact_sheet(got, photos=True)
    for i, row in enumerate(got.rows):
        for j, picture in enumerate((photo, got.cells[row, got.columns[0]].picture())):
            assert_shows(tile_at(plain, LINE + MARGIN + i * (TILE + LINE + MARGIN), j), picture)
    for words, is_long in ((3, False), (60, True)):
        sheet = contact_sheet(got, photos=True, heading=" ".join(["word"] * words))
        heading, below = np.split(sheet, [len(sheet) - len(plain)])
        np.testing.assert_array_equal(below, plain)
        ink = (heading < 128).any(axis=(1, 2))
        lines = np.count_nonzero(ink[1:] & ~ink[:-1])
        assert (lines > 1) == is_long
        assert not ink[[0, -1]].any()
        assert (heading[:, -MARGIN:] == 255).all()


def test_what_stands_below_a_picture_is_chosen(photo: Array) -> None:
    got = compare(small_cnn(), photo, methods=["grad-cam", "mwp"], target=1, **ARGUMENTS)
    named, blank = contact_sheet(got), contact_sheet(got, describe=lambda one: "")
    changed = (named != blank).any(axis=(1, 2))
    assert changed.any()
    assert not changed[: MARGIN + LINE + TILE].any()


def assert_shows(tile: Image, picture: Image) -> None:
    """The photo of 16 x 16 pixels is upsampled 14 times: the middle of each of its pixels keeps about its colour."""
    assert np.median(np.abs(tile[7::14, 7::14].astype(int) - picture)) <= 8


def test_signed_and_unsigned_maps_have_a_bar_each(photo: Array) -> None:
    unsigned = compare(small_cnn(), photo, methods=["grad-cam"], target=1, **ARGUMENTS)
    signed = compare(small_cnn(), photo, methods=["grad-cam", "occlusion"], target=1, **ARGUMENTS)
    blue = colourise(np.array([[-1.0, 0]], np.float32))[0, 0]
    hot = colourise(np.array([[1.0, 0]], np.float32))[0, 0]
    for comparison, has_blue in ((unsigned, False), (signed, True)):
        sheet = contact_sheet(comparison)
        bars = sheet[:, -140:]
        assert (bars == hot).all(axis=2).any()
        assert (bars == blue).all(axis=2).any() == has_blue


def test_labels_beyond_ascii_and_long_names_are_drawn(photo: Array) -> None:
    labels = ["Ägyptische Katze", "猫", "c" * 200, "d", "e"]
    got = compare(small_cnn(), photo, methods=["grad-cam"], target=[0, 1, 2], labels=labels, **ARGUMENTS)
    assert contact_sheet(got).shape[1] < 3 * (TILE + MARGIN) + 300


def test_an_unknown_method_is_named(photo: Array, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown method 'grad_cam'; did you mean 'grad-cam'"):
        compare(small_cnn(), photo, methods=["grad_cam"], **ARGUMENTS)
