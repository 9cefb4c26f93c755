"""Image files to uint8 [H, W, 3] RGB arrays, and back."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from ...graph_rewrites.errors import OnnxplainError, UsageError
from .decode import MAX_PIXELS, decode_rgb
from .decode import PathLike as PathLike

Image = npt.NDArray[np.uint8]

# OpenCV writes GIF too, but in so few colours that a heatmap is no longer readable.
WRITABLE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
IMAGE_SUFFIXES = WRITABLE_SUFFIXES | {".gif"}


def read_image(path: PathLike, max_pixels: int = MAX_PIXELS) -> Image:
    """Read a JPEG, PNG, WebP, GIF, BMP or TIFF file (the first of its frames or pages) as uint8 [H, W, 3] RGB.

    The EXIF orientation is applied, grey repeated in three channels, a palette looked up, transparency laid over white;
    16-bit samples are divided by 257 and rounded. Colour profiles are not applied.

    Raises OnnxplainError if the file is missing, unreadable, damaged or cut off, has more than `max_pixels` pixels (by
    its header, before decoding), or holds float, signed or 32-bit samples, which define no white.
    """
    return decode_rgb(path, read_bytes(path), max_pixels)


def read_bytes(path: PathLike) -> bytes:
    """Return what an image file holds; raise OnnxplainError if it is missing or unreadable."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise OnnxplainError(f"{path}: cannot be read as an image ({error.strerror}); check the path") from error


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
