from __future__ import annotations

import json
from pathlib import Path

import pytest
from onnxplain.engine.records.journal import Journal, fingerprint
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError

from ...graph_rewrites.networks import small_cnn

IDENTITY = {"model": "a", "sizes": (1, 2)}
MEASURED, FAILED = {"image": "ü.png", "value": 0.1}, {"image": "b.png", "error": "broken"}


def lines(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_records_are_appended_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Journal(path, IDENTITY) as journal:
        journal.add(MEASURED)
        assert lines(path) == [{"model": "a", "sizes": [1, 2]}, MEASURED]  # there at once, not at the end
        journal.add(FAILED)
    with Journal(path, IDENTITY) as journal:
        assert (journal.records, journal.done) == ({"ü.png": MEASURED, "b.png": FAILED}, {"ü.png"})
        journal.add({"image": "b.png", "value": 1})
    with Journal(path, IDENTITY) as journal:
        assert journal.records["b.png"] == {"image": "b.png", "value": 1}
        assert journal.done == {"ü.png", "b.png"}


@pytest.mark.parametrize("cut", [1, 10])
def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "results.jsonl"
    with Journal(path, IDENTITY) as journal:
        journal.add(MEASURED)
        journal.add({"image": "c.png", "value": 2})
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path, IDENTITY) as journal:
        assert journal.done == {"ü.png"}
        journal.add(FAILED)
    assert lines(path)[1:] == [MEASURED, FAILED]


@pytest.mark.parametrize("text", ['{"else', "[]\n", "hello\n", '{"model": "a", "sizes": [1, 2]}\n{"value": 1}\n'])
def test_other_files_are_refused_and_left_as_they_are(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match="holds no results of this command"):
        Journal(path, IDENTITY)
    assert path.read_text() == text


def test_a_run_that_was_cut_off_in_its_first_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"model": "a", "siz')
    with Journal(path, IDENTITY) as journal:
        assert not journal.records
    assert lines(path) == [{"model": "a", "sizes": [1, 2]}]


def test_another_identity_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Journal(path, IDENTITY):
        pass
    with pytest.raises(UsageError, match="another run, which differs in sizes; choose another"):
        Journal(path, IDENTITY | {"sizes": (1,)})


def test_another_identity_gives_way_where_that_is_asked_for(tmp_path: Path) -> None:
    path, other = tmp_path / "results.jsonl", IDENTITY | {"sizes": (1,)}
    with Journal(path, IDENTITY, anew=True) as journal:
        journal.add(MEASURED)
        assert not journal.replaced
    with Journal(path, IDENTITY, anew=True) as journal:
        assert journal.done == {"ü.png"}
    with Journal(path, other, anew=True) as journal:
        assert (journal.replaced, journal.records) == (["sizes"], {})
        journal.add(FAILED)
    assert lines(path) == [{"model": "a", "sizes": [1]}, FAILED]
    path.write_text("hello\n")
    with pytest.raises(UsageError, match="holds no results of this command"):
        Journal(path, other, anew=True)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OnnxplainError, match="cannot be written"):
        Journal(tmp_path / "none" / "results.jsonl", IDENTITY)


def test_fingerprints_tell_models_apart() -> None:
    assert fingerprint(small_cnn(seed=0)) == fingerprint(small_cnn(seed=0)) != fingerprint(small_cnn(seed=1))
