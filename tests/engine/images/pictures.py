"""Picture files made by hand, and the error that a wrong one gets."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from onnxplain.engine.images.files import Image, read_image
from onnxplain.graph_rewrites.errors import OnnxplainError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
FOUR = np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8)
# Six patches of 16 x 16, no two alike: JPEG keeps them apart, and no two orientations give the same picture.
COLOURS = np.array([[RED, GREEN, BLUE], [WHITE, (0, 0, 0), (255, 255, 0)]], np.uint8)
PATCHES: Image = COLOURS.repeat(16, axis=0).repeat(16, axis=1)


def encode(suffix: str, array: np.ndarray) -> bytes:
    """Encode an RGB, RGBA or grey array with OpenCV, which wants blue first."""
    channels = array.shape[2] if array.ndim == 3 else 1
    order: dict[int, Any] = {1: ..., 3: (..., [2, 1, 0]), 4: (..., [2, 1, 0, 3])}
    done, data = cv2.imencode(suffix, np.ascontiguousarray(array[order[channels]]))
    assert done
    return data.tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = b"".join(chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def exif_block(orientation: int, order: str = "<") -> bytes:
    """One directory of two entries: the width, to be passed over, and the orientation."""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(f"{order}HHIHH", 0x0100, 3, 1, 7, 0) + struct.pack(
        f"{order}HHIHH", 0x0112, 3, 1, orientation, 0
    )
    return magic + struct.pack(f"{order}IH", 8, 2) + entries + bytes(4)


def with_exif(suffix: str, data: bytes, exif: bytes) -> bytes:
    if suffix == ".jpg":  # after a comment that holds a marker-like pair, and before fill bytes, both allowed
        block = b"Exif\0\0" + exif
        comment = b"\xff\xfe" + struct.pack(">H", 6) + b"\xff\xd9ab"
        return data[:2] + comment + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + b"\xff" + data[2:]
    if suffix == ".png":
        return data[:33] + chunk(b"eXIf", exif) + data[33:]
    assert data[12:16] == b"VP8L"
    bits = int.from_bytes(data[21:25], "little")  # width - 1, height - 1 in 14 bits each, and whether there is alpha
    sides = (bits & 0x3FFF).to_bytes(3, "little") + (bits >> 14 & 0x3FFF).to_bytes(3, "little")
    flags = bytes([0x08 | (0x10 if bits >> 28 & 1 else 0), 0, 0, 0])
    padded = exif + bytes(len(exif) % 2)
    extended = (
        b"VP8X" + struct.pack("<I", 10) + flags + sides + data[12:] + b"EXIF" + struct.pack("<I", len(exif)) + padded
    )
    return b"RIFF" + struct.pack("<I", len(extended) + 4) + b"WEBP" + extended


def tiff(orientation: int, rgb: np.ndarray) -> bytes:
    height, width = rgb.shape[:2]
    bits_at, data_at = 8 + 2 + 10 * 12 + 4, 8 + 2 + 10 * 12 + 4 + 6
    entries = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, bits_at), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [
        (273, 4, 1, data_at),
        (274, 3, 1, orientation),
        (277, 3, 1, 3),
        (278, 3, 1, height),
        (279, 4, 1, rgb.size),
    ]
    directory = struct.pack("<H", 10) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<HHH", 8, 8, 8) + rgb.tobytes()


def looked_at(stored: np.ndarray, orientation: int) -> np.ndarray:
    """Place pixel by pixel, from the standard's words: where row 0 and column 0 are in the picture to look at."""
    rows, columns = stored.shape[:2]
    row0, column0 = [
        ("top", "left"), ("top", "right"), ("bottom", "right"), ("bottom", "left"),
        ("left", "top"), ("right", "top"), ("right", "bottom"), ("left", "bottom"),
    ][orientation - 1]  # fmt: skip
    shape = (rows, columns) if orientation <= 4 else (columns, rows)
    picture = np.zeros((*shape, *stored.shape[2:]), stored.dtype)
    for r in range(rows):
        for c in range(columns):
            place = {row0: r, column0: c}
            y = place["top"] if "top" in place else shape[0] - 1 - place["bottom"]
            x = place["left"] if "left" in place else shape[1] - 1 - place["right"]
            picture[y, x] = stored[r, c]
    return picture


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def refusal(path: Path | str, **options: Any) -> str:
    """Return what `read_image` says: one line that names the file."""
    with pytest.raises(OnnxplainError) as caught:
        read_image(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message
