from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from onnxplain.engine.records.arguments import pairs, read_inputs
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError


def test_pairs() -> None:
    assert pairs(["size=25", " fill = blur "], "option") == {"size": "25", "fill": "blur"}
    assert pairs(["path=a=b.npy"], "input") == {"path": "a=b.npy"}
    assert pairs(None, "option") == {}
    for texts, message in (
        (["size"], "write name=value"),
        (["=3"], "write name=value"),
        (["a=1", "a=2"], "given twice"),
    ):
        with pytest.raises(UsageError, match=message):
            pairs(texts, "option")


def test_inputs_are_read(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.int64).reshape(2, 3)
    np.save(tmp_path / "a.npy", values)
    cv2.imwrite(str(tmp_path / "m.png"), np.array([[0, 255], [51, 0]], np.uint8))
    got = read_inputs([f"ids={tmp_path / 'a.npy'}", f"mask={tmp_path / 'm.png'}"])
    np.testing.assert_array_equal(got["ids"], values)
    assert got["ids"].dtype == np.int64
    np.testing.assert_allclose(got["mask"], [[0, 1], [0.2, 0]])
    assert got["mask"].dtype == np.float32


def test_what_is_no_array_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    for name, error, message in (
        ("missing.npy", OnnxplainError, "No such file"),
        ("text.npy", OnnxplainError, "no .npy array"),
        ("objects.npy", OnnxplainError, "no .npy array"),
        ("values.csv", UsageError, "given as .npy"),
    ):
        with pytest.raises(error, match=message) as caught:
            read_inputs([f"x={tmp_path / name}"])
        assert name in str(caught.value)
