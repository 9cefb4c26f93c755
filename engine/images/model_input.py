"""Fits preprocessing to what a model's input takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import onnx

from ...graph_rewrites.errors import UsageError
from .preprocess import PRESETS, Preprocess, parse_preprocess


def wanted_preprocess(given: Preprocess | str | None, record: Mapping[str, Any]) -> Preprocess | None:
    """The preprocessing given, also in its text form, else what a model's record says; None where there is neither.

    Raises:
        UsageError, OnnxplainError: as `parse_preprocess` and `Preprocess.from_json`.
    """
    if given is not None:
        return parse_preprocess(given) if isinstance(given, str) else given
    recorded = record.get("preprocessing")
    return Preprocess.from_json(recorded) if recorded else None


def fit_to_input(preprocess: Preprocess | None, kind: onnx.TypeProto.Tensor, layout: str | None) -> Preprocess:
    """Completes preprocessing with the input's own size, layout and dtype.

    Without any, pixels are passed on as they are to an input of type uint8; other inputs get torchvision's "imagenet"
    preprocessing, the most common one, at the input's size.

    Raises:
        UsageError: the input is no image, or the preprocessing contradicts its size, channels or dtype.
    """
    dims: list[Any] = [dim.dim_value or None for dim in kind.shape.dim]
    if layout is None or len(dims) != 4:
        raise UsageError(f"the model's input has {len(dims)} axes, so it takes no images; use Explainer.run")
    dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    channels, height, width = (dims[layout.index(axis)] for axis in "CHW")
    assumed = preprocess is None
    if preprocess is None:
        preprocess = PRESETS["uint8" if dtype == "uint8" else "imagenet"]
    if channels == 1 and preprocess.channels != "GRAY" and assumed:
        preprocess = replace(PRESETS["raw"], channels="GRAY", scale=1 / 255)
    count = 1 if preprocess.channels == "GRAY" else 3
    if channels not in (None, count):
        raise UsageError(
            f"the model's input has {channels} channels, the preprocessing {count} ({preprocess.channels})"
        )
    size, resize = preprocess.size, preprocess.resize
    if height and width:
        if size not in (None, (height, width)) and not assumed:
            raise UsageError(f"the model takes {height}x{width} images, the preprocessing makes {size[0]}x{size[1]}")
        if size not in (None, (height, width)) and resize is not None:
            resize = round(resize * max(height, width) / max(size))
        size = (height, width)
    return replace(preprocess, size=size, resize=resize, layout=layout, dtype=dtype)
