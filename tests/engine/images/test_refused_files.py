"""Image files that are refused, in one line that names them and in silence."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
from onnxplain.engine.images.files import read_image

from .pictures import (
    FOUR,
    PATCHES,
    encode,
    exif_block,
    png,
    put,
    refusal,
    with_exif,
)


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
    for decoder, name in ((cv2, "imdecode"), (PIL.ImageFile.ImageFile, "load")):
        monkeypatch.setattr(decoder, name, lambda *_: pytest.fail("the image was decoded"))
    assert "50000 x 50000 pixels" in refusal(put(tmp_path, "x", data))


def test_the_limit_counts_pixels(tmp_path: Path) -> None:
    path = put(tmp_path, "x", encode(".png", PATCHES))
    assert read_image(path, max_pixels=PATCHES.size // 3).shape == PATCHES.shape
    assert "48 x 32 pixels" in refusal(path, max_pixels=PATCHES.size // 3 - 1)


def test_the_limit_is_the_callers_whatever_pillows_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 1)
    assert read_image(put(tmp_path, "x", encode(".png", PATCHES))).shape == PATCHES.shape


def test_a_frame_beyond_its_screen_counts(tmp_path: Path) -> None:
    """A GIF whose header says 1 x 1 pixels, and whose frame has 300 x 200."""
    file = io.BytesIO()
    PIL.Image.new("P", (300, 200)).save(file, "GIF")
    data = bytearray(file.getvalue())
    data[6:10] = struct.pack("<HH", 1, 1)
    assert "300 x 200 pixels" in refusal(put(tmp_path, "x", bytes(data)), max_pixels=59_999)
    assert read_image(tmp_path / "x", max_pixels=60_000).shape == (200, 300, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_samples_without_a_white_are_refused(tmp_path: Path, dtype: type) -> None:
    uncompressed = [cv2.IMWRITE_TIFF_COMPRESSION, 1]  # by default older OpenCV makes float samples another type
    data = cv2.imencode(".tiff", FOUR.astype(dtype), uncompressed)[1].tobytes()
    assert np.dtype(dtype).name in refusal(put(tmp_path, "x", data))


def test_tiff_alpha_is_refused_unless_opaque(tmp_path: Path) -> None:
    opaque = np.dstack([FOUR, np.full((2, 2), 255, np.uint8)])
    np.testing.assert_array_equal(read_image(put(tmp_path, "x", encode(".tiff", opaque))), FOUR)
    opaque[0, 0, 3] = 254
    assert "fourth channel" in refusal(put(tmp_path, "x", encode(".tiff", opaque)))
