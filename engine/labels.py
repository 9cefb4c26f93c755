"""Class names from a file."""

from __future__ import annotations

import json
from pathlib import Path

from ..graph_rewrites.errors import OnnxplainError
from .images.files import PathLike


def read_labels(path: PathLike) -> list[str]:
    """Class names in class order, from a text file (one a line) or a JSON list.

    Raises:
        OnnxplainError: the file is missing, unreadable or empty, or its JSON is no list of strings.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise OnnxplainError(f"{path}: the labels cannot be read ({reason}); give one class name a line") from error
    if path.suffix.lower() == ".json":
        try:
            labels = json.loads(text)
        except json.JSONDecodeError as error:
            raise OnnxplainError(f"{path}: not valid JSON ({error}); give a list of class names") from error
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise OnnxplainError(f"{path}: the JSON is no list of strings; give the class names in class order")
    else:
        labels = text.rstrip("\n").split("\n") if text.strip() else []
    if not labels:
        raise OnnxplainError(f"{path}: holds no labels; give one class name a line")
    return [label.strip() for label in labels]
