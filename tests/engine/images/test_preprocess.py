"""Preprocessing: values by hand, geometry against a plain replica, and heatmaps brought back to where they belong."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxplain.engine.images.preprocess import PRESETS, Preprocess, parse_preprocess
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError

PIXEL = np.array([[(200, 100, 50)]], np.uint8)
SETTINGS = settings(max_examples=150, deadline=None, derandomize=True)


def ramps(height: int, width: int) -> np.ndarray:
    """Make an image whose red is the column and green the row of each pixel."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([columns, rows, np.zeros_like(rows)]).astype(np.uint8)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Preprocess, int, int]:
    """Draw squashes and crops of odd and even sizes, with portrait and landscape images."""
    height, width = draw(st.integers(24, 200)), draw(st.integers(24, 200))
    size = draw(st.tuples(st.integers(16, 120), st.integers(16, 120)))
    fit = draw(st.sampled_from(["squash", "crop"]))
    resize = draw(st.none() | st.integers(max(size), max(size) + 60)) if fit == "crop" else None
    return Preprocess(size, fit, resize), height, width


def positions(preprocess: Preprocess, height: int, width: int) -> list[list[Fraction]]:
    """Return where the centres of the source's rows, and of its columns, lie in the input, in pixels from its corner.

    The rounding of torchvision: Resize cuts off the longer side's fraction, CenterCrop rounds to even.
    """
    assert preprocess.size is not None
    if preprocess.fit == "squash":
        resized = preprocess.size
    elif preprocess.resize:
        short = min(height, width)
        resized = (preprocess.resize * height // short, preprocess.resize * width // short)
    elif Fraction(preprocess.size[0], height) >= Fraction(preprocess.size[1], width):
        resized = (preprocess.size[0], round(Fraction(width * preprocess.size[0], height)))
    else:
        resized = (round(Fraction(height * preprocess.size[1], width)), preprocess.size[1])
    found = []
    for side, scaled, kept in zip((height, width), resized, preprocess.size, strict=True):
        first = round(Fraction(scaled - kept, 2))
        found.append([Fraction(2 * pixel + 1, 2) * scaled / side - first for pixel in range(side)])
    return found


@SETTINGS
@given(cases())
def test_apply_shows_what_lies_at_each_position(case: tuple[Preprocess, int, int]) -> None:
    preprocess, height, width = case
    assert preprocess.size is not None
    sample = preprocess.apply(ramps(height, width))
    assert sample.shape == (3, *preprocess.size)
    rows, columns = positions(*case)
    for axis, (centres, seen) in enumerate([(columns, sample[0]), (rows, sample[1])]):
        wanted = np.interp(np.arange(seen.shape[1 - axis]) + 0.5, np.array(centres, float), np.arange(len(centres)))
        # Half a pixel of the source is half a step of uint8 here, so rounding alone may make a difference.
        assert np.abs(seen - (wanted[None, :] if axis == 0 else wanted[:, None])).max() < 0.55


@SETTINGS
@given(cases())
def test_to_source_brings_every_place_back(case: tuple[Preprocess, int, int]) -> None:
    preprocess, height, width = case
    sample = preprocess.apply(ramps(height, width))
    rows, columns = (np.array(centres, float) for centres in positions(*case))
    h, w = sample.shape[1:]
    # Pixels between the centres of the input's first and last: beyond, the border is repeated.
    inner = np.outer((rows >= 0.5) & (rows <= h - 0.5), (columns >= 0.5) & (columns <= w - 0.5))
    for channel, place in ((0, np.arange(width)[None, :]), (1, np.arange(height)[:, None])):
        back = preprocess.to_source(sample[channel], (height, width))
        assert back.shape == (height, width)
        assert back.dtype == np.float32
        assert np.where(inner, np.abs(back - place), 0).max() < 0.55


@SETTINGS
@given(cases(), st.floats(0.3, 0.7), st.floats(0.3, 0.7))
def test_a_blob_is_found_again_where_it_was(case: tuple[Preprocess, int, int], down: float, right: float) -> None:
    preprocess, height, width = case
    rows, columns = (np.array(centres, float) for centres in positions(*case))
    h, w = preprocess.size or (0, 0)
    # A place well inside the crop, and a blob wide enough to be seen in the input.
    y, x = np.interp(h * down, rows, np.arange(height)), np.interp(w * right, columns, np.arange(width))
    wide = (1.5 * max(1, 1 / (rows[1] - rows[0])), 1.5 * max(1, 1 / (columns[1] - columns[0])))
    blob = np.exp(-(((np.arange(height) - y) / wide[0]) ** 2)[:, None] - (((np.arange(width) - x) / wide[1]) ** 2))
    seen = preprocess.apply(np.dstack([np.rint(255 * blob).astype(np.uint8)] * 3))[0]
    peak = np.unravel_index(seen.argmax(), seen.shape)
    heat = np.exp(-((np.arange(h) - peak[0]) ** 2)[:, None] / 8 - (np.arange(w) - peak[1]) ** 2 / 8)
    back = np.unravel_index(preprocess.to_source(heat, (height, width)).argmax(), (height, width))
    # Within a pixel of the source or, where those are finer, of the input.
    assert abs(back[0] - y) <= max(1, 1 / (rows[1] - rows[0])) + 0.01
    assert abs(back[1] - x) <= max(1, 1 / (columns[1] - columns[0])) + 0.01


@SETTINGS
@given(cases())
def test_to_source_is_one_inside_the_crop_and_zero_outside(case: tuple[Preprocess, int, int]) -> None:
    preprocess, height, width = case
    h, w = preprocess.size or (0, 0)
    rows, columns = positions(*case)
    inside = np.outer([0 <= row < h for row in rows], [0 <= column < w for column in columns])
    back = preprocess.to_source(np.ones((h, w), np.float32), (height, width))
    np.testing.assert_allclose(back, inside, atol=1e-6)
    np.testing.assert_array_equal(back == 0, ~inside)


def test_imagenet_geometry_by_hand() -> None:
    sample = replace(PRESETS["imagenet"], scale=1.0, mean=(0.0,), std=(1.0,)).apply(ramps(200, 250))
    assert sample.shape == (3, 224, 224)
    # 250 x 200 becomes 320 x 256; columns 48 to 271, rows 16 to 239 stay. First centre: 48.5 * 250/320 - 0.5 = 37.4.
    assert abs(sample[0, :, 0].mean() - 37.4) < 0.55
    assert abs(sample[0, :, 223].mean() - 211.6) < 0.55
    assert abs(sample[1, 0].mean() - 12.4) < 0.55
    assert abs(sample[1, 223].mean() - 186.6) < 0.55


def test_to_source_is_bilinear_with_half_pixel_centres() -> None:
    heat = np.array([[0, 1], [0, 1]], np.float32)
    back = Preprocess((2, 2)).to_source(heat, (3, 4))
    np.testing.assert_allclose(back, [[0, 0.25, 0.75, 1]] * 3)


def test_without_a_size_nothing_moves() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(PRESETS["raw"].apply(image), image.transpose(2, 0, 1))
    heat = np.random.default_rng(1).random((5, 7), np.float32)
    np.testing.assert_array_equal(PRESETS["raw"].to_source(heat, (5, 7)), heat)


def test_to_source_refuses_another_size() -> None:
    with pytest.raises(UsageError, match=r"\[7, 7\].*\[224, 224\]"):
        PRESETS["imagenet"].to_source(np.zeros((7, 7), np.float32), (300, 200))


def test_shrinking_averages_and_does_not_alias() -> None:
    checkers = np.repeat((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    sample = Preprocess((16, 16)).apply(checkers)
    assert np.abs(sample - 127.5).max() <= 0.5


def test_a_growing_side_is_interpolated_while_the_other_shrinks() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    image[1] = 100
    np.testing.assert_array_equal(Preprocess((4, 2)).apply(image)[0], [[0, 0], [25, 25], [75, 75], [100, 100]])


def test_an_elongated_image_is_refused_instead_of_filling_the_memory() -> None:
    with pytest.raises(OnnxplainError, match="100000 x 1 pixels is too elongated"):
        PRESETS["imagenet"].apply(np.zeros((1, 100000, 3), np.uint8))


@pytest.mark.parametrize(
    ("preprocess", "values"),
    [
        (Preprocess(), (200, 100, 50)),
        (Preprocess(channels="BGR"), (50, 100, 200)),
        (Preprocess(channels="GRAY"), (124,)),  # 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2, in whole pixels
        (PRESETS["tf"], (200 / 127.5 - 1, 100 / 127.5 - 1, 50 / 127.5 - 1)),
        (replace(PRESETS["caffe"], size=None, fit="squash", resize=None), (50 - 103.939, 100 - 116.779, 200 - 123.68)),
        (
            replace(PRESETS["imagenet"], size=None, fit="squash", resize=None),
            ((200 / 255 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, (50 / 255 - 0.406) / 0.225),
        ),
        (Preprocess(scale=0.5, mean=(10.0,), std=(4.0,)), (22.5, 10, 3.75)),
        (Preprocess(channels="BGR", mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0)), (49, 49, 49.25)),
    ],
)
def test_values_by_hand(preprocess: Preprocess, values: tuple[float, ...]) -> None:
    sample = preprocess.apply(PIXEL)
    assert sample.dtype == np.float32
    assert sample.shape == (len(values), 1, 1)
    np.testing.assert_allclose(sample[:, 0, 0], values, rtol=1e-5, atol=1e-5)


def test_tf_spans_minus_one_to_one() -> None:
    black_and_white = np.array([[[0] * 3, [255] * 3]], np.uint8)
    np.testing.assert_allclose(PRESETS["tf"].apply(black_and_white)[0, 0], [-1, 1], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_layout_and_dtype(dtype: str, layout: str) -> None:
    image = np.arange(12, dtype=np.uint8).reshape(1, 4, 3)
    sample = Preprocess(layout=layout, dtype=dtype).apply(image)
    assert sample.dtype == dtype
    assert sample.flags.c_contiguous
    np.testing.assert_array_equal(sample, image if layout == "NHWC" else np.moveaxis(image, 2, 0))


def test_float64_is_computed_in_float64() -> None:
    sample = replace(PRESETS["imagenet"], size=None, fit="squash", resize=None, dtype="float64").apply(PIXEL)
    assert abs(sample[0, 0, 0] - (200 / 255 - 0.485) / 0.229) < 1e-14


def test_apply_refuses_what_is_no_rgb_image() -> None:
    with pytest.raises(UsageError, match=r"float32 \[3, 4, 5\]"):
        PRESETS["raw"].apply(np.zeros((3, 4, 5), np.float32))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fit": "stretch"}, "unknown fit 'stretch'"),
        ({"channels": "rgb"}, "unknown channels 'rgb'; did you mean RGB?"),
        ({"layout": "NCWH"}, "unknown layout 'NCWH'; did you mean NCHW?"),
        ({"dtype": "int8"}, "unknown dtype 'int8'; did you mean uint8?"),
        ({"size": (224,)}, "size must be"),
        ({"size": (0, 224)}, "size must be"),
        ({"size": (224.0, 224.0)}, "size must be"),
        ({"size": [224, 224]}, "size must be"),
        ({"size": (9, 9), "fit": "crop", "resize": 9.5}, "resize must be"),
        ({"size": (9, 9), "fit": "crop", "resize": 8}, "resize 8 is less than"),
        ({"size": (9, 12), "fit": "crop", "resize": 10}, "resize 10 is less than"),
        ({"size": (9, 9), "resize": 10}, "resize 10 is for fit crop"),
        ({"fit": "crop"}, "fit crop needs a size"),
        ({"scale": 0}, "must not be zero"),
        ({"scale": float("nan")}, "scale must be"),
        ({"scale": "1"}, "scale must be"),
        ({"mean": (1.0, 2.0)}, "mean must be 1 or 3"),
        ({"mean": 0.5}, "mean must be"),
        ({"mean": (0.0, 0.0, 0.0), "channels": "GRAY"}, "mean must be 1 or 1"),
        ({"std": (1.0, 0.0, 1.0)}, "must not be zero"),
        ({"std": (1.0, float("inf"), 1.0)}, "std must be"),
        ({"dtype": "uint8", "scale": 2.0}, "dtype uint8"),
        ({"dtype": "uint8", "mean": (0.0, 1.0, 0.0)}, "dtype uint8"),
        ({"dtype": "uint8", "std": (2.0,)}, "dtype uint8"),
    ],
)
def test_inconsistent_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Preprocess(**fields)
    assert str(caught.value).startswith("preprocessing: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("preprocess", PRESETS.values(), ids=PRESETS)
def test_json_gives_the_same_back(preprocess: Preprocess) -> None:
    data = preprocess.to_json()
    assert Preprocess.from_json(data) == preprocess
    assert Preprocess.from_json(json.loads(json.dumps(data))) == preprocess
    assert not any(isinstance(value, tuple) for value in data.values())


def test_json_names_missing_and_unknown_keys() -> None:
    data = PRESETS["imagenet"].to_json()
    del data["std"]
    data["colour"] = "red"
    with pytest.raises(OnnxplainError, match="missing or unknown: colour, std;"):
        Preprocess.from_json(data)
    with pytest.raises(OnnxplainError, match="missing or unknown: channels, dtype, fit,"):
        Preprocess.from_json([1, 2])
    with pytest.raises(UsageError, match="mean must be"):
        Preprocess.from_json(PRESETS["raw"].to_json() | {"mean": 0.5})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("imagenet", PRESETS["imagenet"]),
        ("imagenet,size=299x320,resize=342", replace(PRESETS["imagenet"], size=(299, 320), resize=342)),
        ("imagenet, fit=squash", replace(PRESETS["imagenet"], fit="squash", resize=None)),
        ("imagenet,resize=none", replace(PRESETS["imagenet"], resize=None)),
        ("imagenet,fit=squash,size=none", replace(PRESETS["imagenet"], fit="squash", resize=None, size=None)),
        ("raw,layout=NHWC,dtype=uint8", Preprocess(layout="NHWC", dtype="uint8")),
        ("raw,scale=1/255,mean=0.5/0.25/0,std=2", Preprocess(scale=1 / 255, mean=(0.5, 0.25, 0.0), std=(2.0,))),
        ("raw,scale=0.25,channels=BGR", Preprocess(scale=0.25, channels="BGR")),
    ],
)
def test_parse(text: str, expected: Preprocess) -> None:
    assert parse_preprocess(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("imagnet", "unknown preset 'imagnet'; did you mean imagenet? choose one of imagenet, tf, caffe, raw, uint8"),
        ("", "unknown preset ''; choose one of"),
        ("size=224x224", "unknown preset 'size=224x224'"),
        ("raw,sizes=2x2", "unknown setting 'sizes'; did you mean size?"),
        ("raw,", "unknown setting ''"),
        ("raw,size=2", "size must be None or (height, width)"),
        ("raw,size=axb", "'size=axb' is not understood; write it like size=224x224"),
        ("raw,resize=big", "'resize=big' is not understood"),
        ("raw,scale=1/0", "'scale=1/0' is not understood"),
        ("raw,mean=", "'mean=' is not understood"),
        ("raw,std=0/1/1", "must not be zero"),
        ("raw,layout=NHCW", "unknown layout 'NHCW'; did you mean"),
        ("imagenet,size=299x299", "resize 256 is less than the size (299, 299)"),
    ],
)
def test_parse_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_preprocess(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
