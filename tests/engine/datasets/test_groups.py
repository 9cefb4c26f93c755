from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from onnxplain.engine.datasets.groups import read_groups
from onnxplain.engine.datasets.read import read_dataset
from onnxplain.graph_rewrites.errors import UsageError


def data(folder: Path, text: str) -> Path:
    for name in "ab":
        cv2.imwrite(str(folder / f"{name}.png"), np.zeros((4, 6, 3), np.uint8))
    (folder / "data.csv").write_text(text)
    return folder / "data.csv"


def test_groups_of_a_plain_csv_are_a_column_of_it(tmp_path: Path) -> None:
    path = data(tmp_path, "image,label,sex\na.png,nurse,woman\na.png,face,\na.png,hair,man\nb.png,nurse,man\n")
    dataset = read_dataset(path, further=True)
    found = read_groups(path, dataset, "sex")
    assert found.of == {"a.png": "woman", "b.png": "man"}
    assert found.labels == {}
    assert found.conflicts == {"a.png": ("woman", "man")}
    assert [one.label for one in dataset.entries["a.png"]().objects] == ["nurse", "face", "hair"]
    with pytest.raises(UsageError, match=r"unknown columns \['sex'\]"):
        read_dataset(path)


def test_other_data_sets_have_their_groups_and_classes_in_a_csv(tmp_path: Path) -> None:
    dataset = read_dataset(data(tmp_path, "image,label\na.png,face\nb.png,face\n"))
    groups = tmp_path / "groups.csv"
    lines = ["image,group,label,remark", "a.png, woman ,nurse,x", "a.png,,face,", "b.png,man,,y", "c.png,man,doctor,z"]
    groups.write_text("\n".join(lines))
    found = read_groups(groups, dataset)
    assert found.of == {"a.png": "woman", "b.png": "man", "c.png": "man"}
    assert found.labels == {"a.png": ["nurse", "face"], "c.png": ["doctor"]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,groups\na.png,x\n", "has no column 'group', did you mean 'groups'?; name it by --group"),
        ("name,group\na.png,x\n", "has no column 'image'"),
        ("image,group\na.png,\n", "its column 'group' is empty"),
        ("image,group\na,x\nb,y\n", "write 'a.png' and its like, not 'a'"),
        ("image,group\na.png,x\nb.png,x\n", "all images are of the group 'x'"),
        ("image,group\na.png,x\nother.png,y\n", "all images are of the group 'x'"),
        ("", "has no column 'image'"),
    ],
)
def test_files_that_tell_no_groups_are_refused(tmp_path: Path, text: str, words: str) -> None:
    dataset = read_dataset(data(tmp_path, "image,label\na.png,nurse\nb.png,nurse\n"))
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(UsageError) as raised:
        read_groups(tmp_path / "groups.csv", dataset)
    assert words in str(raised.value)
