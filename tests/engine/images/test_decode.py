"""Image files read: values and orientation."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
from onnxplain.engine.images.files import read_image, write_image

from .pictures import (
    FOUR,
    PATCHES,
    RED,
    WHITE,
    encode,
    exif_block,
    looked_at,
    png,
    put,
    tiff,
    with_exif,
)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tiff", ".PNG"])
def test_colours_survive_writing_and_reading(tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / f"four{suffix}", FOUR)
    np.testing.assert_array_equal(read_image(tmp_path / f"four{suffix}"), FOUR)


def test_jpeg_colours_are_not_swapped(tmp_path: Path) -> None:
    write_image(tmp_path / "patches.jpg", PATCHES)
    assert (tmp_path / "patches.jpg").read_bytes()[:3] == b"\xff\xd8\xff"
    difference = np.abs(read_image(str(tmp_path / "patches.jpg")).astype(int) - PATCHES)
    assert difference[4::8, 4::8].max() < 12


def test_a_path_may_hold_any_letters(tmp_path: Path) -> None:
    write_image(tmp_path / "größe 図.png", FOUR)
    np.testing.assert_array_equal(read_image(tmp_path / "größe 図.png"), FOUR)


def test_gif_is_read(tmp_path: Path) -> None:
    one_red_pixel = base64.b64decode("R0lGODlhAQABAIAAAP8AAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==")
    np.testing.assert_array_equal(read_image(put(tmp_path, "red.gif", one_red_pixel)), [[RED]])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int, order: str) -> None:
    data = with_exif(suffix, encode(suffix, PATCHES), exif_block(orientation, order))
    result, expected = read_image(put(tmp_path, "x", data)), looked_at(PATCHES, orientation)
    assert result.shape == expected.shape
    difference = np.abs(result.astype(int) - expected)
    assert (difference[4::8, 4::8].max() < 12) if suffix == ".jpg" else (difference.max() == 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_orientation_is_applied_once(tmp_path: Path, orientation: int) -> None:
    path = put(tmp_path, "x.tif", tiff(orientation, PATCHES))
    np.testing.assert_array_equal(read_image(path), looked_at(PATCHES, orientation))


@pytest.mark.parametrize(
    "exif",
    [
        exif_block(0),
        exif_block(9),
        b"II*\0",
        b"II*\0" + struct.pack("<IH", 8, 9) + bytes(3),
        b"MM\0*" + struct.pack(">I", 2**32 - 1),
        b"nonsense",
    ],
)
def test_damaged_exif_leaves_the_picture_as_stored(tmp_path: Path, exif: bytes) -> None:
    np.testing.assert_array_equal(read_image(put(tmp_path, "x", with_exif(".png", encode(".png", FOUR), exif))), FOUR)


def test_grey_becomes_three_channels(tmp_path: Path) -> None:
    write_image(tmp_path / "grey.png", np.array([[0, 7, 255]]).astype(np.uint8))
    assert (tmp_path / "grey.png").read_bytes()[25] == 0  # the colour type grey, of one channel
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), [[[0] * 3, [7] * 3, [255] * 3]])


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_every_16_bit_value_is_divided_by_257_and_rounded(tmp_path: Path, suffix: str) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    result = read_image(put(tmp_path, "x", encode(suffix, values)))
    np.testing.assert_array_equal(result[..., 1], np.rint(values / 257))
    colours = np.dstack([values, values[::-1], values.T])
    np.testing.assert_array_equal(read_image(put(tmp_path, "x", encode(suffix, colours))), np.rint(colours / 257))


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_is_ink_on_white(tmp_path: Path, suffix: str) -> None:
    inks = np.array([[(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255), (0, 0, 0, 100)]], np.uint8)
    picture = PIL.Image.fromarray(inks.repeat(16, axis=0).repeat(16, axis=1), "CMYK")
    picture.save(tmp_path / f"x{suffix}", quality=100)
    result = read_image(tmp_path / f"x{suffix}").astype(int)[8, 8::16]
    assert np.abs(result - [WHITE, (0, 255, 255), RED, (0, 0, 0), (155, 155, 155)]).max() <= 2


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("sampling", [0x111111, 0x211111, 0x221111, 0x411111])
@pytest.mark.parametrize("quality", [10, 75, 95])
def test_a_jpeg_has_the_pixels_opencv_decodes(tmp_path: Path, quality: int, sampling: int, grey: bool) -> None:
    ramp = np.indices((101, 67)).sum(0) * 255 // 166
    noise = np.random.default_rng(0).integers(-30, 30, (101, 67, 3))
    picture = np.clip(ramp[..., None] + noise, 0, 255).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    data = cv2.imencode(".jpg", picture[..., 0] if grey else picture, options)[1]
    expected = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(read_image(put(tmp_path, "x.jpg", data.tobytes())), expected)


def test_one_bit_grey_spans_black_to_white(tmp_path: Path) -> None:
    result = read_image(put(tmp_path, "x", png(3, 1, 1, 0, b"\0" + bytes([0b10100000]))))
    np.testing.assert_array_equal(result[..., 0], [[255, 0, 255]])


def test_a_jpeg_may_be_followed_by_other_data(tmp_path: Path) -> None:
    data = encode(".jpg", PATCHES)
    whole = read_image(put(tmp_path, "whole", data))
    np.testing.assert_array_equal(read_image(put(tmp_path, "more", data + b"\0\0ftypmp42\xff\xda" * 9)), whole)


@pytest.mark.parametrize("data", [encode(".jpg", PATCHES), tiff(1, PATCHES)], ids=["jpeg", "tiff"])
def test_the_orientation_of_a_preview_is_not_the_images(tmp_path: Path, data: bytes) -> None:
    preview = with_exif(".jpg", encode(".jpg", PATCHES), exif_block(6))
    assert read_image(put(tmp_path, "x", data + preview)).shape == PATCHES.shape
