from __future__ import annotations

from pathlib import Path

import pytest
from onnxplain.engine.datasets.mapping import ClassMapping, read_mapping
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError

LABELS = ["tabby, tabby cat", "tiger cat", "school bus", "crane", "crane"]


def test_classes_are_found_by_their_exact_name() -> None:
    mapping = ClassMapping(LABELS, 5)
    assert [mapping.of(name) for name in ("Tabby Cat", "tabby", "tiger cat", "2")] == [(0,), (0,), (1,), (2,)]
    with pytest.raises(UsageError, match=r"no class 'bus', did you mean .*--mapping"):
        mapping.of("bus")
    with pytest.raises(UsageError, match=r"'crane' is the name of the classes \[3, 4\]; give the index"):
        mapping.of("crane")
    with pytest.raises(UsageError, match="the model has no labels"):
        ClassMapping(None, 5).of("cat")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.json", '{"cat": ["tabby", 1], "bus": "school bus", "sofa": null}'),
        ("m.csv", 'cat,"tabby, tabby cat"\ncat,1\nbus,school bus\nsofa,\n'),
    ],
)
def test_a_mapping_file_gives_several_classes_or_none(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    mapping = ClassMapping(LABELS, 5, read_mapping(tmp_path / name), name)
    assert [mapping.of(label) for label in ("cat", "bus", "sofa")] == [(0, 1), (2,), ()]
    mapping.check(["cat", "sofa"])
    with pytest.raises(UsageError, match=rf"{name}: lacks the class 'dog'"):
        mapping.check(["cat", "dog"])
    with pytest.raises(
        UsageError, match=rf"{name}: lacks 6 classes of the data set \('d0', .*'d4' \.\.\.\).*--mapping"
    ):
        mapping.check(["cat", *(f"d{index}" for index in range(6))])
    with pytest.raises(UsageError, match="maps no class"):
        mapping.check(["sofa"])


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("tiger cta", "class 'cat': the model has no class 'tiger cta', did you mean"), (5, "5 is out of range")],
)
def test_a_mapping_to_a_class_that_is_not_there_is_refused(wanted: str | int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ClassMapping(LABELS, 5, {"cat": [wanted]}, "m.json")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.json", "{", "not valid JSON"),
        ("m.json", '["cat"]', "not classes by class"),
        ("m.json", '{"cat": [1.5]}', "not classes by class"),
        ("m.csv", "cat,1\ndog", "line 2: not two columns"),
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(OnnxplainError, match=message):
        read_mapping(tmp_path / name)


def test_labels_that_stand_for_no_class_may_name_anything() -> None:
    by_name = ClassMapping(["tabby, tabby cat", "dog"], 2)
    assert [by_name.has(one) for one in ("Tabby Cat", "dog", "1", "2", "face")] == [True, True, True, False, False]
    given = ClassMapping(["cat", "dog"], 2, {"puss": ["cat"], "dog": []})
    assert [given.has(one) for one in ("puss", "dog", "cat")] == [True, False, False]
