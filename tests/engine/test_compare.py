"""Comparisons of methods, layers and classes, and the picture of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnxplain import Explainer, UsageError
from onnxplain.engine.compare import Comparison, compare
from onnxplain.engine.contact_sheet import LINE, MARGIN, TILE, contact_sheet
from onnxplain.engine.render import colourise

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


def test_the_picture_holds_each_explanation_in_its_place(photo: Array) -> None:
    got = compare(small_cnn(), photo, methods=["grad-cam", "mwp"], layers=["relu1", "relu2"], target=1, **ARGUMENTS)
    sheet = contact_sheet(got)
    assert sheet.dtype == np.uint8
    step = TILE + MARGIN
    assert sheet.shape[0] == LINE + MARGIN + 2 * (TILE + LINE + MARGIN)
    left = next(
        x for x in range(sheet.shape[1]) if (sheet[LINE + MARGIN : LINE + MARGIN + TILE, x] != 255).all(1).all()
    )
    for i, row in enumerate(got.rows):
        for j, column in enumerate(got.columns):
            top = LINE + MARGIN + i * (TILE + LINE + MARGIN)
            tile = sheet[top : top + TILE, left + j * step : left + j * step + TILE]
            picture = got.cells[row, column].picture()
            # The 16 x 16 photo is enlarged 14 times: the middle of each of its pixels keeps about its colour.
            difference = np.abs(tile[7::14, 7::14].astype(int) - picture)
            assert np.median(difference) <= 8, (row, column)


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
