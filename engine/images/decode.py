"""The formats of image files: what each may hold, brought to 8 bits, upright and over white."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, EXTRASAMPLES, SAMPLEFORMAT, ImageFileDirectory_v2, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ...graph_rewrites.errors import OnnxplainError

PathLike = str | os.PathLike[str]
Samples = npt.NDArray[np.uint8]
MAX_PIXELS = 100_000_000

_FORMAT = re.compile(
    rb"(?P<JPEG>\xff\xd8\xff)|(?P<PNG>\x89PNG\r\n\x1a\n)|(?P<WebP>RIFF....WEBP)|(?P<GIF>GIF8[79]a)|(?P<BMP>BM)"
    rb"|(?P<TIFF>II\*\0|MM\0\*)",
    re.DOTALL,
)
# Not PIL.Image.open, whose limit on pixels is one for the whole process: ours is the caller's.
_READERS: dict[str, Callable[[io.BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WebP": WebPImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
}
_TIFF_SAMPLES = {"uint1", "uint2", "uint4", "uint8", "uint16"}
_TIFF_ALPHA = ((1,), (2,))  # of its extra samples: colours are multiplied by it, or not (TIFF 6.0, section 18)


@contextlib.contextmanager
def open_picture(path: PathLike, data: bytes, max_pixels: int = MAX_PIXELS) -> Iterator[ImageFile]:
    """Opens the bytes of an image file; what Pillow raises here or while its pixels are used becomes OnnxplainError.

    Args:
        path: the file's name, for errors.
        data: its bytes.
        max_pixels: how many pixels its header may announce.

    Raises:
        OnnxplainError: it is in none of the formats, damaged, cut off or too large, or a TIFF file of float, signed or
            32-bit samples, which define no white.
    """
    if (known := _FORMAT.match(data)) is None:
        what = "not a JPEG, PNG, WebP, GIF, BMP or TIFF image; convert it to PNG" if data else "empty; copy it again"
        raise OnnxplainError(f"{path}: {what}")
    kind = str(known.lastgroup)
    try:
        if kind == "TIFF" and (samples := _tiff_samples(data)) not in _TIFF_SAMPLES:
            raise OnnxplainError(f"{path}: samples of {samples}; convert it to 8 or 16-bit grey or RGB")
        picture = _READERS[kind](io.BytesIO(data))
        width, height = picture.size
        if height * width > max_pixels:
            raise OnnxplainError(f"{path}: {width} x {height} pixels, over {max_pixels}; shrink it or raise max_pixels")
        yield picture
    except OnnxplainError:
        raise
    except Exception as error:  # there is no class that all errors of Pillow's have in common
        raise OnnxplainError(
            f"{path}: cannot decode this {kind} data, damaged or cut off ({error}); copy it again, or save it as PNG"
        ) from error


def decode_rgb(path: PathLike, data: bytes, max_pixels: int = MAX_PIXELS) -> Samples:
    """The picture in the bytes of an image file, uint8 [H, W, 3] RGB; see `files.read_image`.

    Raises:
        OnnxplainError: see `open_picture`; or a TIFF file's fourth channel is not opaque and may not be its alpha.
    """
    with open_picture(path, data, max_pixels) as picture:
        raw = str(picture.tile[0][3]) if picture.tile else ""  # how samples are stored; forgotten once they are loaded
        deep = ";16" in raw and picture.mode != "CMYK"
        if raw in ("L;2", "L;4") and "transparency" in picture.info:  # samples are spread to 0..255, this level is not
            picture.info["transparency"] *= {"L;2": 85, "L;4": 17}[raw]
        picture.load()
        if deep:
            samples = _sixteen_bits(picture, data)
        else:
            samples = np.array(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))
        if samples.shape[2] == 4:
            known = not isinstance(picture, TiffImageFile) or picture.tag_v2.get(EXTRASAMPLES) in _TIFF_ALPHA
            if samples[..., 3].min() < 255 and not known:
                raise OnnxplainError(f"{path}: a TIFF file with a fourth channel that is not opaque; save it as PNG")
            samples = _over_white(samples)
        return _upright(samples, picture)


def _tiff_samples(data: bytes) -> str:
    """The type of a TIFF file's samples, as NumPy names it."""
    stream, tags = io.BytesIO(data), ImageFileDirectory_v2(data[:8])
    stream.seek(tags.next)
    tags.load(stream)
    kind = {1: "uint", 2: "int", 3: "float"}.get(tags.get(SAMPLEFORMAT, (1,))[0], "untyped ")
    return f"{kind}{tags.get(BITSPERSAMPLE, (1,))[0]}"


def _sixteen_bits(picture: ImageFile, data: bytes) -> Samples:
    """The samples by OpenCV, divided by 257 and rounded, RGB or RGBA: of 16-bit colours Pillow keeps the upper byte."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("OpenCV finds no 16-bit samples")
    if pixels.ndim == 2:
        opaque = pixels != picture.info.get("transparency", -1)  # a level of grey, which OpenCV passes over
        pixels = cv2.merge([pixels, pixels, pixels, np.where(opaque, 65535, 0).astype(np.uint16)])
    codes = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    return np.asarray(cv2.cvtColor(cv2.convertScaleAbs(pixels, alpha=1 / 257), codes[pixels.shape[2]]), np.uint8)


def _over_white(rgba: Samples) -> Samples:
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _upright(image: Samples, picture: ImageFile) -> Samples:
    """Rows and columns turned as the EXIF orientation says; of TIFF files both decoders have done it already.

    Not PIL.ImageOps.exif_transpose, which fails on damaged EXIF data, and where it cannot write them anew.
    """
    orientation = 1
    with contextlib.suppress(Exception):  # see open_picture
        orientation = picture.getexif().get(Base.Orientation, 1)
    image = image.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else image
    image = image[:, ::-1] if orientation in (2, 3, 6, 7) else image
    return np.ascontiguousarray(image[::-1] if orientation in (3, 4, 7, 8) else image)
