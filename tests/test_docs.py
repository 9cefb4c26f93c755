"""The documentation's examples are run, and it leaves no method out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import onnx
import pytest
from onnxplain.engine.multi_pass.registry import MULTI_PASS
from onnxplain.graph_rewrites.maps.options import options_of
from onnxplain.graph_rewrites.maps.registry import METHODS

from .graph_rewrites.networks import small_cnn

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "methods.md").read_text()


def section(method: str) -> str:
    found = re.search(rf"^### {re.escape(method)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/methods.md has no section on {method}"
    return found[1]


@pytest.mark.parametrize("method", [*METHODS, *MULTI_PASS])
def test_every_method_has_its_section_picture_and_options(method: str) -> None:
    text = section(method)
    assert f"images/methods/{method}.jpg" in text
    picture = cv2.imread(str(DOCS / "images" / "methods" / f"{method}.jpg"))
    assert picture is not None
    assert picture.std() > 5
    assert re.search(r"(et al\.|and [A-Z]\w+).*(20\d\d)|pytorch-grad-cam", text, re.DOTALL), "no source"
    build = METHODS[method].build if method in METHODS else MULTI_PASS[method].explain
    missing = [name for name in options_of(build) if f"`{name}" not in text]
    assert not (set(missing) - {"seed", "of"}), missing


def test_the_page_lists_no_method_that_does_not_exist() -> None:
    families = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    listed = [name for family in families for name in re.findall(r"^### (\S+)$", family, re.MULTILINE)]
    assert sorted(listed) == sorted([*METHODS, *MULTI_PASS])


def test_the_example_of_a_plugin_works_from_the_command_line(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(# mine\.py.*?)```", PAGE, re.DOTALL)
    (tmp_path / "mine.py").write_text(code)
    onnx.save(small_cnn(), tmp_path / "model.onnx")
    cv2.imwrite(str(tmp_path / "photo.png"), cv2.imread(str(DOCS / "images" / "methods" / "grad-cam.jpg")))
    base = [sys.executable, "-c", "from onnxplain.cli import main; main()", "--plugin", "mine.py", "explain"]
    for arguments in (
        ["--method", "gradient", "--rules", "clamped"],
        ["--method", "positive-hires-cam", "--option", "floor=0.1", "--layer", "relu1"],
    ):
        command = [*base, "model.onnx", "photo.png", "--preprocess", "raw,scale=1/255", "--json", *arguments]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        (row,) = json.loads(result.stdout)
        assert row["method"] == arguments[1]
        assert (tmp_path / row["overlay"]).is_file()
