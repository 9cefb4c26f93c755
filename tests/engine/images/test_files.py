"""Image files read: values, orientation, transparency, and everything that must be refused."""

from __future__ import annotations

import base64
import struct
from pathlib import Path
from typing import Any

import cv2
import imagesize
import numpy as np
import pytest
from onnxplain.engine.images.files import read_image, write_image

from .pictures import (
    BLUE,
    FOUR,
    GREEN,
    PATCHES,
    RED,
    WHITE,
    chunk,
    encode,
    exif_block,
    looked_at,
    png,
    put,
    refusal,
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


@pytest.mark.skipif(cv2.__version__ < "4.12", reason="this OpenCV does not read GIF")
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


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparency_is_laid_over_white_and_turned(tmp_path: Path, suffix: str) -> None:
    rgba = np.array([[(200, 100, 50, alpha) for alpha in (128, 60, 0, 255)]], np.uint8)
    # 200 * 128/255 + 255 * 127/255 = 227.4, 50 * 60/255 + 255 * 195/255 = 206.8, and so on
    row = [(227, 177, 152), (242, 219, 207), (255, 255, 255), (200, 100, 50)]
    data = encode(suffix, rgba)
    np.testing.assert_array_equal(read_image(put(tmp_path, "x", data)), [row])
    turned = read_image(put(tmp_path, "y", with_exif(suffix, data, exif_block(6))))
    np.testing.assert_array_equal(turned, [[pixel] for pixel in row])


def test_grey_becomes_three_channels(tmp_path: Path) -> None:
    write_image(tmp_path / "grey.png", np.array([[0, 7, 255]]).astype(np.uint8))
    assert imagesize.get(str(tmp_path / "grey.png")) == (3, 1)
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), [[[0] * 3, [7] * 3, [255] * 3]])


def test_every_16_bit_value_is_divided_by_257_and_rounded(tmp_path: Path) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    result = read_image(put(tmp_path, "x", encode(".png", values)))
    np.testing.assert_array_equal(result[..., 1], np.rint(values / 257))


def test_16_bit_colour_with_alpha(tmp_path: Path) -> None:
    rgba = np.array([[(200, 100, 50, 128)]], np.uint16) * 257
    np.testing.assert_array_equal(read_image(put(tmp_path, "x", encode(".png", rgba))), [[(227, 177, 152)]])


def test_palette_is_looked_up_with_its_transparency(tmp_path: Path) -> None:
    palette, transparency = chunk(b"PLTE", bytes([*RED, *GREEN, *BLUE])), chunk(b"tRNS", bytes([255, 0]))
    path = put(tmp_path, "x", png(3, 1, 8, 3, b"\0" + bytes([2, 0, 1]), palette, transparency))
    np.testing.assert_array_equal(read_image(path), [[BLUE, RED, WHITE]])


def test_one_bit_grey_spans_black_to_white(tmp_path: Path) -> None:
    result = read_image(put(tmp_path, "x", png(3, 1, 1, 0, b"\0" + bytes([0b10100000]))))
    np.testing.assert_array_equal(result[..., 0], [[255, 0, 255]])


def test_missing_file_folder_and_empty_file_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "missing.png")
    assert "Is a directory" in refusal(tmp_path)
    assert "empty" in refusal(put(tmp_path, "empty.png", b""))


@pytest.mark.parametrize(
    "data",
    [
        b"hello, world",
        b"P5 2 1 1023\n" + struct.pack(">HH", 1023, 512),
        b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n\xc8\x64\x32\x80",
        b"\0\0\0\x1cftypavif",
        b"RIFF\x24\0\0\0WAVEfmt ",
    ],
)
def test_other_formats_are_refused(tmp_path: Path, data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    assert "not a JPEG, PNG" in refusal(put(tmp_path, "x.png", data))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_cut_file_is_refused_in_silence(
    tmp_path: Path, suffix: str, part: float, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    thumbnail = exif_block(1) + encode(".jpg", PATCHES)  # with an end mark of its own
    data = with_exif(suffix, encode(suffix, noise), thumbnail)
    assert read_image(put(tmp_path, "whole", data)).shape == noise.shape
    start = len(thumbnail) + 700  # past the header
    assert "cut off" in refusal(put(tmp_path, "cut", data[: start + int(part * (len(data) - start))]))
    assert capfd.readouterr().err == ""


def test_a_jpeg_may_be_followed_by_other_data(tmp_path: Path) -> None:
    data = encode(".jpg", PATCHES)
    whole = read_image(put(tmp_path, "whole", data))
    np.testing.assert_array_equal(read_image(put(tmp_path, "more", data + b"\0\0ftypmp42\xff\xda" * 9)), whole)


@pytest.mark.parametrize("data", [encode(".jpg", PATCHES), tiff(1, PATCHES)], ids=["jpeg", "tiff"])
def test_the_orientation_of_a_preview_is_not_the_images(tmp_path: Path, data: bytes) -> None:
    preview = with_exif(".jpg", encode(".jpg", PATCHES), exif_block(6))
    assert read_image(put(tmp_path, "x", data + preview)).shape == PATCHES.shape


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".tiff", ".png"])
def test_damaged_data_is_refused(tmp_path: Path, suffix: str) -> None:
    data = encode(suffix, np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    damaged = data[:200] + bytes(400) + data[600:] if suffix == ".png" else data[: len(data) // 2]
    assert "cannot decode" in refusal(put(tmp_path, "x", damaged))


def test_sizes_of_zero_are_refused(tmp_path: Path) -> None:
    assert "cannot decode" in refusal(put(tmp_path, "x", png(0, 3, 8, 2, b"\0\0\0")))


def huge_jpeg() -> bytes:
    data = bytearray(encode(".jpg", FOUR))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 50000, 50000)
    return bytes(data)


@pytest.mark.parametrize("data", [png(50000, 50000, 8, 2, b"\0"), huge_jpeg()], ids=["png", "jpeg"])
def test_too_many_pixels_are_refused_before_decoding(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the image was decoded"))
    assert "50000 x 50000 pixels" in refusal(put(tmp_path, "x", data))


def test_the_limit_counts_pixels(tmp_path: Path) -> None:
    path = put(tmp_path, "x", encode(".png", PATCHES))
    assert read_image(path, max_pixels=PATCHES.size // 3).shape == PATCHES.shape
    assert "48 x 32 pixels" in refusal(path, max_pixels=PATCHES.size // 3 - 1)


@pytest.mark.parametrize("error", [None, ValueError("Invalid PNG file"), struct.error("unpack requires more")])
def test_a_header_imagesize_cannot_read_is_checked_after_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    def get(_: Any) -> tuple[int, int]:
        if error:
            raise error
        return -1, -1

    monkeypatch.setattr(imagesize, "get", get)
    path = put(tmp_path, "x", encode(".png", FOUR))
    np.testing.assert_array_equal(read_image(path), FOUR)
    assert "2 x 2 pixels" in refusal(path, max_pixels=3)


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_samples_without_a_white_are_refused(tmp_path: Path, dtype: type) -> None:
    path = put(tmp_path, "x", encode(".tiff", FOUR.astype(dtype)))
    assert np.dtype(dtype).name in refusal(path)


def test_tiff_alpha_is_refused_unless_opaque(tmp_path: Path) -> None:
    opaque = np.dstack([FOUR, np.full((2, 2), 255, np.uint8)])
    np.testing.assert_array_equal(read_image(put(tmp_path, "x", encode(".tiff", opaque))), FOUR)
    opaque[0, 0, 3] = 254
    assert "fourth channel" in refusal(put(tmp_path, "x", encode(".tiff", opaque)))
