"""What an error message has to look like."""

from __future__ import annotations

import pytest
from onnxplain.graph_rewrites.errors import OnnxplainError


def assert_one_line(error: pytest.ExceptionInfo[OnnxplainError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
