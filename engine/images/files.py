"""Image files to uint8 [H, W, 3] RGB arrays, and back."""

from __future__ import annotations

import contextlib
import glob
import io
import os
import re
import secrets
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import imagesize
import numpy as np
import numpy.typing as npt

from ...graph_rewrites.errors import OnnxplainError, UsageError

PathLike = str | os.PathLike[str]
Image = npt.NDArray[np.uint8]

# OpenCV writes GIF too, but in so few colours that a heatmap is no longer readable.
WRITABLE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
IMAGE_SUFFIXES = WRITABLE_SUFFIXES | {".gif"}
# What OpenCV decodes beyond these can come out silently wrong: AVIF of 10 bits and netpbm of maximum 1023 unscaled,
# AVIF without its rotation, PAM with red and blue swapped.
_FORMAT = re.compile(
    rb"(?P<JPEG>\xff\xd8\xff)|(?P<PNG>\x89PNG\r\n\x1a\n)|(?P<WebP>RIFF....WEBP)|(?P<GIF>GIF8[79]a)|(?P<BMP>BM)"
    rb"|(?P<TIFF>II\*\0|MM\0\*)",
    re.DOTALL,
)
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
# What precedes the EXIF block in JPEG, PNG and WebP: with it eight fixed bytes or more, enough not to occur in pixels.
_EXIF = re.compile(rb"(?:\xff\xe1..Exif\0\0|eXIf|EXIF....(?:Exif\0\0)?)(?=II\*\0|MM\0\*)", re.DOTALL)


def read_image(path: PathLike, max_pixels: int = 100_000_000) -> Image:
    """Read a JPEG, PNG, WebP, GIF, BMP or TIFF file (the first of its frames or pages) as uint8 [H, W, 3] RGB.

    The EXIF orientation is applied, grey repeated in three channels, a palette looked up, transparency laid over white;
    16-bit samples are divided by 257 and rounded. Colour profiles are not applied.

    Raises OnnxplainError if the file is missing, unreadable, damaged or cut off, has more than `max_pixels` pixels (by
    its header, before decoding), or holds float, signed or 32-bit samples, which define no white.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise OnnxplainError(f"{path}: cannot be read as an image ({error.strerror}); check the path") from error
    if (known := _FORMAT.match(data)) is None:
        what = "not a JPEG, PNG, WebP, GIF, BMP or TIFF image; convert it to PNG" if data else "empty; copy it again"
        raise OnnxplainError(f"{path}: {what}")
    kind = str(known.lastgroup)
    # imagesize answers (-1, -1) or raises where it cannot read the header: the size is then known after decoding only.
    with contextlib.suppress(ValueError, struct.error):
        width, height = imagesize.get(io.BytesIO(data))
        _check_size(path, height, width, max_pixels)
    # OpenCV before 4.12 fills the missing part of a JPEG with grey; about a PNG it complains on stderr.
    header = _jpeg_header(data) if kind == "JPEG" else 0
    if data.find({"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}.get(kind, b""), header) < 0:
        raise OnnxplainError(f"{path}: the {kind} data is cut off; copy or download the file again")
    pixels = None
    with contextlib.suppress(cv2.error):  # raised, where None is returned else, for sizes beyond OpenCV's own limit
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise OnnxplainError(f"{path}: OpenCV cannot decode this {kind} data (damaged or rare); save it as PNG")
    _check_size(path, pixels.shape[0], pixels.shape[1], max_pixels)
    image = _to_rgb(path, kind, pixels)
    # IMREAD_UNCHANGED alone keeps alpha, but of orientations applies TIFF's only. (The others miss WebP's before 4.13.)
    exif = None if kind == "TIFF" else _EXIF.search(data, 0, header or len(data))
    return _orient(image, data[exif.end() : exif.end() + 2**16]) if exif else image


def as_image(source: PathLike | npt.NDArray[np.uint8]) -> Image:
    """Return the image in a file (see `read_image`) or a given uint8 [H, W, 3] RGB array (see `check_rgb`)."""
    return read_image(source) if isinstance(source, str | os.PathLike) else check_rgb(source)


def check_rgb(image: Any) -> Image:
    """Return a uint8 [H, W, 3] array of non-zero size, contiguous; raise UsageError telling what else was given."""
    if not isinstance(image, np.ndarray):
        raise UsageError(f"an image must be a path or a uint8 [H, W, 3] RGB array, not of type {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise UsageError(f"an image must be uint8 [H, W, 3] RGB, not {image.dtype} {list(image.shape)}; convert it")
    return np.ascontiguousarray(image)


def find_images(paths: PathLike | Iterable[PathLike]) -> list[Path]:
    """List the image files that paths, folders and glob patterns name, in the order given, each file once.

    A folder stands for all images in it and its subfolders, sorted; a pattern (`**` crosses folders) for the images
    that match, sorted. Both go by suffix (IMAGE_SUFFIXES) and leave hidden files out; a file named outright is taken
    whatever its suffix. Raises UsageError naming the path, folder or pattern that gives no image.
    """
    found: dict[Path, Path] = {}
    for given in [paths] if isinstance(paths, str | os.PathLike) else paths:
        path = Path(given)
        files = [path]
        if path.is_dir() or not path.exists():
            pattern = f"{glob.escape(str(path))}/**/*" if path.is_dir() else str(path)
            # not Path.glob, which takes no absolute pattern and finds hidden files
            matches = sorted(Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207
            files = [file for file in matches if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
        if not files:
            what = "no image in this folder" if path.is_dir() else "no such file, and no image matches it"
            raise UsageError(f"{given}: {what} (looked for {' '.join(sorted(IMAGE_SUFFIXES))}); check the path")
        for file in files:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def write_image(path: PathLike, image: Image) -> None:
    """Write a uint8 [H, W, 3] RGB or [H, W] grey array, whole or not at all, in the format of the suffix.

    Raises UsageError for another array or a suffix not in WRITABLE_SUFFIXES, OnnxplainError if the format cannot hold
    so many pixels or the folder is missing or not writable.
    """
    atomic_write_bytes(path, encode_image(path, image))


def encode_image(path: PathLike, image: Image) -> bytes:
    """Return what `write_image` writes. Raises as it does."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        raise UsageError(f"{path}: pictures are not written with the suffix {suffix!r}; use .png or .jpg")
    grey = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 2 and image.size
    bgr = image if grey else cv2.cvtColor(check_rgb(image), cv2.COLOR_RGB2BGR)
    done = False
    with contextlib.suppress(cv2.error):  # OpenCV before 4.12 raises where later ones return False
        done, encoded = cv2.imencode(suffix, bgr)
    if not done:
        raise OnnxplainError(f"{path}: {bgr.shape[1]} x {bgr.shape[0]} pixels do not fit a {suffix} file; use .png")
    return bytes(encoded.tobytes())


def atomic_write_bytes(path: PathLike, data: bytes) -> None:
    """Write a file whole or not at all, see `atomic_file`."""
    with atomic_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def atomic_file(path: PathLike) -> Iterator[BinaryIO]:
    """Open a file that is there whole or not at all: written under a temporary name beside it, renamed at the end.

    Raises OnnxplainError if the folder is missing or not writable, or `path` is something other than a file.
    """
    target = Path(path).resolve()  # a symbolic link stays, and the file it points to is replaced
    # Not the file's own name with an ending, which may be too long; not tempfile, whose files nobody else may read.
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        if target.exists() and not target.is_file():  # a rename would replace the device /dev/null by a file
            raise OnnxplainError(f"{path}: not a regular file; choose another name")
        with temporary.open("wb") as file:
            yield file
        temporary.replace(target)
    except OSError as error:
        raise OnnxplainError(f"{path}: cannot be written ({error.strerror}); choose a writable folder") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _check_size(path: PathLike, height: int, width: int, max_pixels: int) -> None:
    if height * width > max_pixels:
        raise OnnxplainError(f"{path}: {width} x {height} pixels, over {max_pixels}; shrink it or raise max_pixels")


def _jpeg_header(data: bytes) -> int:
    """Return where the coded pixels of a JPEG begin: thumbnails, which have an end mark too, lie before."""
    at = 2
    while marker := _JPEG_MARKER.search(data, at):
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
        if marker[1] == b"\xda":
            return at
    return len(data)


def _orient(image: Image, exif: bytes) -> Image:
    """Turn stored rows and columns as the orientation in an EXIF block says (EXIF 2.32, tag 0x0112), if it says one."""

    def number(at: int, size: int) -> int:  # zero beyond the end
        return int.from_bytes(exif[at : at + size], "little" if exif[:1] == b"I" else "big")

    first = number(4, 4)
    entries = range(first + 2, first + 2 + 12 * number(first, 2), 12)
    orientation = next((number(entry + 8, 2) for entry in entries if number(entry, 2) == 0x0112), 1)
    image = image.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else image
    image = image[:, ::-1] if orientation in (2, 3, 6, 7) else image
    return np.ascontiguousarray(image[::-1] if orientation in (3, 4, 7, 8) else image)


def _to_rgb(path: PathLike, kind: str, pixels: Any) -> Image:
    """Bring what OpenCV decoded (grey, BGR or BGRA of 8 or 16 bits) to uint8 [H, W, 3] RGB."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype not in (np.uint8, np.uint16) or channels not in (1, 3, 4):
        raise OnnxplainError(f"{path}: {channels} channels of {pixels.dtype}; convert it to 8 or 16-bit grey or RGB")
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    if channels == 4 and pixels[..., 3].min() < 255:
        if kind == "TIFF":  # libtiff multiplies colour by alpha in some files only, and a fourth band need not be alpha
            raise OnnxplainError(f"{path}: a TIFF file with a fourth channel that is not opaque; save it as PNG")
        alpha = pixels[..., 3:].astype(np.uint16)
        pixels[..., :3] = (pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    codes = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
    return np.asarray(cv2.cvtColor(pixels, codes[channels]), np.uint8)
