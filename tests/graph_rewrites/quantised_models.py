"""Models quantised by ONNX Runtime's own tools."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxplain.engine import embedded
from onnxplain.engine.images.files import read_image
from onnxplain.engine.images.preprocess import Preprocess
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

Feeds = dict[str, np.ndarray]


class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no type stubs
    """Gives inputs one by one."""

    def __init__(self, feeds: Iterable[Feeds]) -> None:
        self._feeds: Iterator[Feeds] = iter(feeds)

    def get_next(self) -> Feeds | None:
        """The next input, None at the end."""
        return next(self._feeds, None)


def _form(layout: QuantFormat, weights: QuantType, activations: QuantType, per_channel: bool = False) -> dict[str, Any]:
    return {
        "quant_format": layout,
        "weight_type": weights,
        "activation_type": activations,
        "per_channel": per_channel,
    }


FORMS: dict[str, dict[str, Any]] = {
    "QDQ, a scale a tensor": _form(QuantFormat.QDQ, QuantType.QUInt8, QuantType.QUInt8),
    "QDQ, a scale a channel": _form(QuantFormat.QDQ, QuantType.QInt8, QuantType.QUInt8, True),
    "QDQ, int8": _form(QuantFormat.QDQ, QuantType.QInt8, QuantType.QInt8, True),
    "QDQ, int16": _form(QuantFormat.QDQ, QuantType.QInt8, QuantType.QInt16),
    "QOperator, a scale a tensor": _form(QuantFormat.QOperator, QuantType.QUInt8, QuantType.QUInt8),
    "QOperator, a scale a channel": _form(QuantFormat.QOperator, QuantType.QInt8, QuantType.QUInt8, True),
}


def quantised(model: onnx.ModelProto, form: str, feeds: Iterable[Feeds], folder: Path) -> onnx.ModelProto:
    """The model in one of `FORMS`, calibrated on `feeds`; or "dynamic"."""
    logging.disable(logging.WARNING)  # the tool warns of every model that was not preprocessed by its script
    path = folder / "quantised.onnx"
    try:
        if form == "dynamic":
            quantize_dynamic(model, path)
        else:
            quantize_static(model, path, Reader(feeds), **FORMS[form])
    finally:
        logging.disable(logging.NOTSET)
    return onnx.load(path)


def embedded_views() -> list[np.ndarray]:
    """The embedded photo as the embedded model takes it, [1, 3, 224, 224]: whole, mirrored and in parts."""
    image = read_image(embedded.PHOTO)
    views = [image, image[:, ::-1], image[:250, :400], image[50:, 50:], image[20:280, 100:]]
    preprocess = Preprocess(size=(224, 224), mean=(127.0,), std=(128.0,))
    return [preprocess.apply(np.ascontiguousarray(view)).reshape(1, 3, 224, 224) for view in views]
