"""What an explained model says of itself: JSON in `metadata_props` under the key `onnxplain`."""

from __future__ import annotations

import json
from typing import Any

import onnx

KEY = "onnxplain"
VERSION = "0.1.0"


def read_metadata(model: onnx.ModelProto) -> dict[str, Any] | None:
    """The record of an explained model, or None for any other model."""
    for entry in model.metadata_props:
        if entry.key == KEY:
            return dict(json.loads(entry.value))
    return None


def add_metadata(model: onnx.ModelProto, **fields: Any) -> None:
    """Adds fields to the record of `model`, in place; fields that are None are left out."""
    record = {**(read_metadata(model) or {}), **{key: value for key, value in fields.items() if value is not None}}
    entries = [entry for entry in model.metadata_props if entry.key == KEY]
    entry = entries[0] if entries else model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(record, ensure_ascii=False)
