"""From a source image to a model's input, and for a heatmap from the model's input back to the source image."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...graph_rewrites.errors import OnnxplainError, UsageError
from .files import Image, check_rgb

_CHOICES = {
    "fit": ("squash", "crop"),
    "channels": ("RGB", "BGR", "GRAY"),
    "layout": ("NCHW", "NHWC"),
    "dtype": ("float32", "float16", "float64", "uint8"),
}


def _check_known(what: str, given: Any, known: Collection[str]) -> None:
    names = {name.lower(): name for name in known}
    near = [f"did you mean {names[name]}? " for name in difflib.get_close_matches(str(given).lower(), names, 1)]
    _check(given in known, f"unknown {what} {given!r}; {''.join(near)}choose one of {', '.join(known)}")


def _check(right: bool, problem: str) -> None:
    if not right:
        raise UsageError(f"preprocessing: {problem}")


def _are_numbers(given: Any, counts: tuple[int, ...], kind: Any = int | float) -> bool:
    right = isinstance(given, tuple) and len(given) in counts
    return right and all(isinstance(number, kind) and math.isfinite(number) for number in given)


@dataclass(frozen=True)
class Preprocess:
    """How a model wants its images: value = (pixel * scale - mean) / std, pixels in 0..255. UsageError if inconsistent.

    size: height and width of the model's input in pixels; None: those of the source image.
    fit: "squash" resizes both sides to `size`; "crop" resizes in proportion, then cuts `size` out of the centre.
    resize: with "crop", the shorter side before the cut, at least `size`; None: as small as covers the cut.
    channels: "RGB", "BGR" or "GRAY" (the luma of ITU-R BT.601).
    layout: where `apply` puts the channels, "NCHW" or "NHWC".
    dtype: "float32", "float16", "float64", or "uint8" for the pixels as they are (scale 1, mean 0, std 1).
    mean, std: one number, or one per channel in the order of `channels`.
    """

    size: tuple[int, int] | None = None
    fit: str = "squash"
    resize: int | None = None
    channels: str = "RGB"
    layout: str = "NCHW"
    dtype: str = "float32"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for field, known in _CHOICES.items():
            _check_known(field, getattr(self, field), known)
        size, resize, each = self.size, self.resize, 1 if self.channels == "GRAY" else 3
        right = size is None or (_are_numbers(size, (2,), int) and min(size) > 0)
        _check(right, f"size must be None or (height, width), two positive integers; not {size!r}")
        right = resize is None or _are_numbers((resize,), (1,), int)
        _check(right, f"resize must be None or an integer; not {resize!r}")
        _check(size is not None or self.fit == "squash", "fit crop needs a size; give one or use fit squash")
        _check(resize is None or self.fit == "crop", f"resize {resize} is for fit crop; leave it out with fit squash")
        right = resize is None or size is None or resize >= max(size)
        _check(right, f"resize {resize} is less than the size {size} to be cut out; raise it or leave it out")
        _check(_are_numbers((self.scale,), (1,)), f"scale must be a number; not {self.scale!r}")
        _check(_are_numbers(self.mean, (1, each)), f"mean must be 1 or {each} numbers; not {self.mean!r}")
        _check(_are_numbers(self.std, (1, each)), f"std must be 1 or {each} numbers; not {self.std!r}")
        _check(0 not in (self.scale, *self.std), f"scale and std must not be zero; not {self.scale!r} and {self.std!r}")
        right = self.dtype != "uint8" or (self.scale, {*self.mean}, {*self.std}) == (1, {0}, {1})
        _check(right, "dtype uint8 allows scale 1, mean 0 and std 1 only; use a float dtype")

    def apply(self, image: Image) -> npt.NDArray[Any]:
        """Turn a uint8 [H, W, 3] RGB image into one sample, [C, h, w] or [h, w, C] by `layout`, of `dtype`.

        Sides that shrink are averaged over areas, which does not alias; sides that grow are interpolated linearly.
        Raises UsageError for another array, OnnxplainError for an image too elongated to be resized.
        """
        image = check_rgb(image)
        height, width = image.shape[:2]
        rows, columns, top, left, h, w = self._geometry(height, width)
        # INTER_AREA is good for sides that shrink only; INTER_LINEAR rounds down on uint8, 0.1 of a step in the mean.
        shrunk = cv2.resize(image, (min(columns, width), min(rows, height)), interpolation=cv2.INTER_AREA)
        resized = cv2.resize(shrunk.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
        pixels: Any = np.rint(resized[top : top + h, left : left + w]).astype(np.uint8)
        if self.channels == "BGR":
            pixels = pixels[..., ::-1]
        elif self.channels == "GRAY":
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
        if self.dtype != "uint8":
            work = np.float64 if self.dtype == "float64" else np.float32
            pixels = (pixels.astype(work) * self.scale - np.asarray(self.mean, work)) / np.asarray(self.std, work)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1) if self.layout == "NCHW" else pixels, self.dtype)

    def to_source(self, heatmap: npt.NDArray[Any], image_shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Map a heatmap [h, w] at the model's input size to float32 [H, W], the `image_shape` of the source image.

        Bilinear with half-pixel centres; zero where a pixel's centre lies outside the crop. Raises as `apply` does.
        """
        height, width = image_shape
        rows, columns, top, left, h, w = self._geometry(height, width)
        if heatmap.shape != (h, w):
            raise UsageError(f"a heatmap of shape {list(heatmap.shape)} is not of the model's input size {[h, w]}")
        # The border is repeated outwards first, lest the values just inside be mixed with the zeros outside.
        beyond = (top, rows - top - h, left, columns - left - w)
        canvas = cv2.copyMakeBorder(np.asarray(heatmap, np.float32), *beyond, cv2.BORDER_REPLICATE)
        source = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_LINEAR)
        inside = np.outer(_inside(height, rows, top, h), _inside(width, columns, left, w))
        return np.where(inside, source, np.float32(0))

    def window(self, image_shape: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return left, top, width and height, in pixels of the source image, of the part of it that the model sees."""
        height, width = image_shape
        rows, columns, top, left, h, w = self._geometry(height, width)
        return left * width / columns, top * height / rows, w * width / columns, h * height / rows

    def _geometry(self, height: int, width: int) -> tuple[int, int, int, int, int, int]:
        """Return rows and columns after resizing, and top, left, height and width of what is then cut out."""
        h, w = self.size or (height, width)
        if self.fit == "squash":
            return h, w, 0, 0, h, w
        if self.resize is None:
            rows, columns = max(h, round(height * w / width)), max(w, round(width * h / height))
        else:  # rounded as by torchvision's Resize, and below as by its CenterCrop
            rows, columns = (int(self.resize * side / min(height, width)) for side in (height, width))
        if rows * columns > 100_000_000:  # a strip of 1 x 100000, upsampled to a shorter side of 256, would take 20 GB
            raise OnnxplainError(f"an image of {width} x {height} pixels is too elongated to be cropped; cut it first")
        return rows, columns, round((rows - h) / 2), round((columns - w) / 2), h, w

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON types, for `from_json`."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}

    @classmethod
    def from_json(cls, data: Any) -> Preprocess:
        """Return the inverse of `to_json`. Raises OnnxplainError for missing or unknown keys, UsageError for values."""
        given = data if isinstance(data, dict) else {}
        if wrong := sorted(given.keys() ^ vars(PRESETS["raw"]).keys()):
            raise OnnxplainError(f"preprocessing: missing or unknown: {', '.join(wrong)}; write it with to_json")
        values: Any = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
        return cls(**values)


def parse_preprocess(text: str) -> Preprocess:
    """Read a preset's name and changes to it: "imagenet", "imagenet,size=299x299,resize=342", "raw,layout=NHWC".

    size is HEIGHTxWIDTH, resize=none and size=none unset them, scale may be a fraction (1/255), mean and std list
    channels (0.5/0.5/0.5). Raises UsageError, offering the closest known name.
    """
    preset, *settings = (part.strip() for part in text.split(","))
    _check_known("preset", preset, PRESETS)
    changes: dict[str, Any] = {}
    for setting in settings:
        field, _, value = setting.partition("=")
        _check_known("setting", field, vars(PRESETS[preset]))
        try:
            changes[field] = _parse(field, value)
        except (ValueError, ZeroDivisionError):
            _check(False, f"{setting!r} is not understood; write it like size=224x224, scale=1/255, mean=0.5/0.5/0.5")
    if changes.get("fit") == "squash":
        changes.setdefault("resize", None)  # the preset's own, which goes with its crop
    return replace(PRESETS[preset], **changes)


def _parse(field: str, value: str) -> Any:
    if value == "none":
        return None
    if field == "size":
        return tuple(int(side) for side in value.split("x"))
    if field in ("scale", "mean", "std"):
        numbers = tuple(float(number) for number in value.split("/"))
        return numbers if field != "scale" else numbers[0] / math.prod(numbers[1:])
    return int(value) if field == "resize" else value


def _inside(side: int, resized: int, start: int, length: int) -> npt.NDArray[np.bool_]:
    """Tell for each of `side` pixels whether its centre, after resizing, lies in start..start + length; in integers."""
    centres = (2 * np.arange(side, dtype=np.int64) + 1) * resized
    return (centres >= 2 * start * side) & (centres < 2 * (start + length) * side)


PRESETS = {
    # torchvision/transforms/_presets.py, ImageClassification, with the defaults of its ImageNet weights
    "imagenet": Preprocess(
        (224, 224), "crop", 256, scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    ),
    # keras/applications/imagenet_utils.py, preprocess_input, mode "tf": -1 to 1
    "tf": Preprocess(scale=1 / 127.5, mean=(1.0,)),
    # the same, mode "caffe"; crop of Simonyan and Zisserman, arXiv:1409.1556, section 3.2 with Q = S = 256
    "caffe": Preprocess((224, 224), "crop", 256, channels="BGR", mean=(103.939, 116.779, 123.68)),
    # for models that normalise inside: pixels in 0..255
    "raw": Preprocess(),
    "uint8": Preprocess(dtype="uint8"),
}
