"""Class names from files."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnxplain import OnnxplainError
from onnxplain.engine.labels import read_labels


def test_text_and_json_give_the_same_names(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes("\ufeffcat\r\ndog\r\nMäuse\r\n".encode())
    (tmp_path / "names.json").write_text('["cat", "dog", "Mäuse"]', encoding="utf-8")
    assert read_labels(tmp_path / "names.txt") == read_labels(tmp_path / "names.json") == ["cat", "dog", "Mäuse"]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.txt", b"", "no labels"),
        ("a.txt", b"\xff\xfe\x00\x80", "UTF-8"),
        ("a.json", b"[1, 2]", "no list of strings"),
        ("a.json", b"{", "not valid JSON"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(OnnxplainError, match=words):
        read_labels(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OnnxplainError, match=r"missing\.txt"):
        read_labels(tmp_path / "missing.txt")
