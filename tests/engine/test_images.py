"""Image files read and written: values, orientation, transparency, and everything that must be refused."""

from __future__ import annotations

import base64
import glob
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import imagesize
import numpy as np
import pytest
from onnxplain.engine.images import Image, as_image, atomic_write_bytes, find_images, read_image, write_image
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError

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


def refusal(path: Path | str, **options: Any) -> str:
    """Return what `read_image` says: one line that names the file."""
    with pytest.raises(OnnxplainError) as caught:
        read_image(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


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


def test_as_image_reads_paths_and_keeps_arrays(tmp_path: Path) -> None:
    write_image(tmp_path / "four.png", FOUR)
    np.testing.assert_array_equal(as_image(str(tmp_path / "four.png")), FOUR)
    np.testing.assert_array_equal(as_image(tmp_path / "four.png"), FOUR)
    assert as_image(FOUR) is FOUR
    reversed_rows = as_image(FOUR[::-1])
    assert reversed_rows.flags.c_contiguous
    np.testing.assert_array_equal(reversed_rows, [[BLUE, WHITE], [RED, GREEN]])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (np.zeros((4, 5, 3), np.float32), r"float32 \[4, 5, 3\]"),
        (np.zeros((3, 4, 5), np.uint8), r"uint8 \[3, 4, 5\]"),
        (np.zeros((4, 5), np.uint8), r"uint8 \[4, 5\]"),
        (np.zeros((4, 5, 4), np.uint8), r"uint8 \[4, 5, 4\]"),
        (np.zeros((0, 5, 3), np.uint8), r"uint8 \[0, 5, 3\]"),
        (17, "type int"),
        (None, "type NoneType"),
    ],
)
def test_as_image_says_what_it_was_given(given: Any, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        as_image(given)


def test_find_images_in_folders_patterns_and_files(tmp_path: Path) -> None:
    for name in (
        "b.png",
        "a.JPG",
        "notes.txt",
        "sub/c.tif",
        "sub/deep/d.webp",
        ".hidden.png",
        ".cache/e.png",
        "raw.bin",
    ):
        put(tmp_path, name, b"x")

    def names(*given: Path | str) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in find_images(given)]

    assert names(tmp_path) == ["a.JPG", "b.png", "sub/c.tif", "sub/deep/d.webp"]
    assert names(tmp_path / "sub", tmp_path / "a.JPG") == ["sub/c.tif", "sub/deep/d.webp", "a.JPG"]
    assert names(f"{tmp_path}/*") == ["a.JPG", "b.png"]
    assert names(f"{tmp_path}/**/*.w*") == ["sub/deep/d.webp"]
    assert names(tmp_path / "raw.bin") == ["raw.bin"]
    assert names(tmp_path / "b.png", tmp_path / "sub" / ".." / "b.png", tmp_path) == names(tmp_path / "b.png", tmp_path)
    assert find_images(str(tmp_path / "b.png")) == [tmp_path / "b.png"]


def test_find_images_sorts_what_the_file_system_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [str(put(tmp_path, name, b"x")) for name in ("b.png", "c.png", "a.png")]
    monkeypatch.setattr(glob, "glob", lambda *_, **__: files)
    assert [path.name for path in find_images([tmp_path])] == ["a.png", "b.png", "c.png"]


def test_find_images_takes_names_before_patterns(tmp_path: Path) -> None:
    bracketed, other = put(tmp_path, "[ab]/x[1].png", b"x"), put(tmp_path, "a/x1.png", b"x")
    assert find_images([bracketed]) == [bracketed]
    assert find_images([tmp_path / "[ab]"]) == [bracketed]
    assert find_images([f"{tmp_path}/[a]/x[1].png"]) == [other]


@pytest.mark.parametrize("missing", ["none.png", "*.gif", "empty"])
def test_find_images_names_what_matches_nothing(tmp_path: Path, missing: str) -> None:
    put(tmp_path, "empty/notes.txt", b"x")
    there = put(tmp_path, "there.png", b"x")
    with pytest.raises(UsageError) as caught:
        find_images([there, tmp_path / missing])
    assert str(caught.value).startswith(f"{tmp_path / missing}: no ")


@pytest.mark.parametrize("name", ["x", "x.txt", "x.gif", "x.png.tmp"])
def test_unknown_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"x.*use \.png"):
        write_image(tmp_path / name, FOUR)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("array", [FOUR.astype(np.float32), FOUR[..., 0].astype(float), FOUR[..., :2], FOUR[:0, :, 0]])
def test_other_arrays_are_not_written(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(UsageError, match=str(array.dtype)):
        write_image(tmp_path / "x.png", array)
    assert not list(tmp_path.iterdir())


def test_more_pixels_than_the_format_holds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OnnxplainError, match=r"x\.jpg: 70000 x 1 pixels"):
        write_image(tmp_path / "x.jpg", np.zeros((1, 70000, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_atomic_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = put(tmp_path, "n" * 250 + ".bin", b"old")
    atomic_write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("step", ["write_bytes", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_keeps_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    target = put(tmp_path, "x.bin", b"old")
    original = getattr(Path, step)

    def fail(self: Path, *arguments: Any) -> None:
        if step == "write_bytes":
            original(self, b"ne")
        raise error

    monkeypatch.setattr(Path, step, fail)
    expected = OnnxplainError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        atomic_write_bytes(target, b"new")
    assert expected is KeyboardInterrupt or str(caught.value).startswith(f"{target}: cannot be written (No space left")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_unwritable_places_are_refused(tmp_path: Path) -> None:
    file = put(tmp_path, "file", b"x")
    for path in (tmp_path / "no folder" / "x.png", file / "x.png"):
        with pytest.raises(OnnxplainError, match="cannot be written"):
            write_image(path, FOUR)
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "folder.png", Path(os.devnull)):
        with pytest.raises(OnnxplainError, match="not a regular file"):
            atomic_write_bytes(path, b"x")
    assert sorted(tmp_path.iterdir()) == [file, tmp_path / "folder.png"]
    assert file.read_bytes() == b"x"


@pytest.mark.skipif(os.name == "nt", reason="permissions and links of POSIX")
def test_written_files_have_usual_permissions_and_links_stay(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "folder" / "real.png")
    before = os.umask(0o022)
    try:
        write_image(tmp_path / "link.png", FOUR)
    finally:
        os.umask(before)
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "folder" / "real.png").stat().st_mode & 0o777 == 0o644
    np.testing.assert_array_equal(read_image(tmp_path / "folder" / "real.png"), FOUR)
