"""Transparency is laid over white, whatever way a format has of storing it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
from onnxplain.engine.images.files import read_image

from .pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    chunk,
    encode,
    exif_block,
    png,
    put,
    with_exif,
)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparency_is_laid_over_white_and_turned(tmp_path: Path, suffix: str) -> None:
    rgba = np.array([[(200, 100, 50, alpha) for alpha in (128, 60, 0, 255)]], np.uint8)
    # 200 * 128/255 + 255 * 127/255 = 227.4, 50 * 60/255 + 255 * 195/255 = 206.8, and so on
    row = [(227, 177, 152), (242, 219, 207), (255, 255, 255), (200, 100, 50)]
    data = encode(suffix, rgba)
    np.testing.assert_array_equal(read_image(put(tmp_path, "x", data)), [row])
    turned = read_image(put(tmp_path, "y", with_exif(suffix, data, exif_block(6))))
    np.testing.assert_array_equal(turned, [[pixel] for pixel in row])


def test_16_bit_colour_with_alpha(tmp_path: Path) -> None:
    rgba = np.array([[(200, 100, 50, 128)]], np.uint16) * 257
    np.testing.assert_array_equal(read_image(put(tmp_path, "x", encode(".png", rgba))), [[(227, 177, 152)]])


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_level_of_grey_becomes_white(tmp_path: Path, depth: int) -> None:
    """Two samples, of which PNG's chunk tRNS makes the first transparent; of 16 bits they differ in the lower byte."""
    first, second = {1: (0, 1), 2: (2, 1), 4: (3, 10), 8: (100, 7), 16: (0x6407, 0x6408)}[depth]
    row = (first << depth | second) << max(0, 8 - 2 * depth)
    data = png(
        2, 1, depth, 0, b"\0" + row.to_bytes(max(1, depth // 4), "big"), chunk(b"tRNS", struct.pack(">H", first))
    )
    expected = round(second * 255 / (2**depth - 1))
    np.testing.assert_array_equal(read_image(put(tmp_path, "x", data)), [[WHITE, [expected] * 3]])


@pytest.mark.parametrize("depth", [8, 16])
def test_transparency_is_laid_over_white_in_grey_and_in_colours_marked_transparent(tmp_path: Path, depth: int) -> None:
    kind, most = f">u{depth // 8}", 2**depth // 255
    grey = (np.array([100, 128, 50, 0, 200, 255]) * most).astype(kind).tobytes()
    result = read_image(put(tmp_path, "grey", png(3, 1, depth, 4, b"\0" + grey)))
    np.testing.assert_array_equal(result[..., 0], [[177, 255, 200]])  # 100 * 128/255 + 255 * 127/255 = 177.2
    colours = (np.array([10, 20, 30, 10, 20, 31]) * most).astype(kind).tobytes()
    marked = chunk(b"tRNS", (np.array([10, 20, 30]) * (most if depth == 16 else 1)).astype(">u2").tobytes())
    result = read_image(put(tmp_path, "rgb", png(2, 1, depth, 2, b"\0" + colours, marked)))
    np.testing.assert_array_equal(result, [[WHITE, (10, 20, 31)]])


def test_a_gifs_transparent_index_becomes_white(tmp_path: Path) -> None:
    picture = PIL.Image.fromarray(np.array([[0, 1]], np.uint8))
    picture.putpalette([*RED, *GREEN])
    picture.save(tmp_path / "x.gif", transparency=1)
    np.testing.assert_array_equal(read_image(tmp_path / "x.gif"), [[RED, WHITE]])


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_a_tiff_file_calls_its_alpha_is_laid_over_white(tmp_path: Path, mode: str, compression: str) -> None:
    picture = PIL.Image.new(mode, (2, 2), (100, 128) if mode == "LA" else (100, 100, 100, 128))
    picture.save(tmp_path / "x.tif", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), np.full((2, 2, 3), 177))


def test_palette_is_looked_up_with_its_transparency(tmp_path: Path) -> None:
    palette, transparency = chunk(b"PLTE", bytes([*RED, *GREEN, *BLUE])), chunk(b"tRNS", bytes([255, 0]))
    path = put(tmp_path, "x", png(3, 1, 8, 3, b"\0" + bytes([2, 0, 1]), palette, transparency))
    np.testing.assert_array_equal(read_image(path), [[BLUE, RED, WHITE]])
