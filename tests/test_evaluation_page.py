"""docs/evaluation.md: its examples run, and it leaves no metric out."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from onnxplain.cli import main
from onnxplain.engine.audit.intervals import CONFIDENCE, MIN_MEAN
from onnxplain.engine.audit.verdict import CLEARLY, MARGIN
from onnxplain.engine.datasets.mapping import read_mapping
from onnxplain.engine.evaluation.measures.perturbation import BLUR, BLUR_SIZE, REMOVED, STEPS
from onnxplain.engine.evaluation.metrics import METRICS
from onnxplain.engine.evaluation.subject import TOLERANCE

from .engine.evaluation.colours import PREPROCESS, write_scenes

PAGE = Path(__file__).parents[1] / "docs" / "evaluation.md"
TEXT = PAGE.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The page's code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_its_section_figures_and_source(name: str) -> None:
    found = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"docs/evaluation.md has no section on {name}"
    missing = [column for column in METRICS[name].columns if f"`{column}`" not in found[1]]
    assert not missing, missing
    assert re.search(r"et al\.\s+20\d\d", found[1]), "no source"


def test_the_page_lists_no_metric_that_does_not_exist_and_the_right_settings() -> None:
    assert re.findall(r"^### (\S+)$", TEXT, re.MULTILINE) == list(METRICS)
    words = " ".join(TEXT.split())
    assert f"`--tolerance` ({TOLERANCE:g})" in words
    assert f"`--steps` ({STEPS};" in words
    assert f"of {BLUR_SIZE} pixels with a standard deviation of {BLUR:g}" in words
    *most, last = [f"{share:.0%}".rstrip("%") for share in REMOVED]
    assert f"{', '.join(most)} and {last} %" in words


def test_the_commands_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scenes(tmp_path)
    (tmp_path / "colours.onnx").rename(tmp_path / "model.onnx")
    (tmp_path / "classes.json").write_text(json.dumps({"red": ["red", 2], "green": ["green"], "blue": None}))
    write_people(tmp_path)
    monkeypatch.chdir(tmp_path)
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) == 8
    for number, line in enumerate(lines):
        own = [] if "-o" in line else ["-o", str(number)]
        monkeypatch.setattr(sys, "argv", [*shlex.split(line), "--preprocess", PREPROCESS, *own])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, line
    images = {path.stem for path in tmp_path.glob("*.png")}
    assert written(tmp_path / "mapped") == table_of_files("")
    assert written(tmp_path / "likely") == {
        name.replace("NAME", image) for name in table_of_files("Seeds for segmentation") for image in images
    }

    assert written(tmp_path / "by-age") == table_of_files("Audit")


def write_people(folder: Path) -> None:
    """What the examples of audits are of: a table of images, regions as COCO has them, and another model."""
    lines = [
        "image,label,group,age,x0,y0,x1,y1",
        "a.png,red,x,old,,,,",
        "a.png,face,,,0,0,9,9",
        "b.png,green,y,young,,,,",
    ]
    (folder / "people.csv").write_text("\n".join(lines))
    shutil.copy(folder / "model.onnx", folder / "other.onnx")
    coco = {
        "images": [{"id": number, "file_name": f"{name}.png"} for number, name in enumerate("ab")],
        "categories": [{"id": 1, "name": "face"}],
        "annotations": [{"image_id": 0, "category_id": 1, "bbox": [0, 0, 9, 9]}],
    }
    (folder / "instances.json").write_text(json.dumps(coco))


def test_audits_are_described_with_the_right_limits() -> None:
    words = " ".join(TEXT.split())
    assert f"within {100 * MARGIN:.0f} points (`--margin`)" in words
    assert f"there is none for fewer than {MIN_MEAN} images" in words
    assert f"by less than a factor of {CLEARLY:g} is reported as little" in words
    assert f"hold together at {100 * CONFIDENCE:.0f} %" in words


def table_of_files(section: str) -> set[str]:
    """The files that a section names, or the page's beginning."""
    text = re.search(rf"^#+ {section}.*?(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert text
    return set(re.findall(r"^\| `([\w.]+)` \|", text[0], re.MULTILINE))


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_example_of_a_mapping_can_be_read(tmp_path: Path) -> None:
    (block,) = blocks("json")
    (tmp_path / "classes.json").write_text(block)
    assert read_mapping(tmp_path / "classes.json") == {
        "cat": ["tabby", "tiger cat", 285],
        "bus": ["school bus"],
        "sofa": [],
    }
