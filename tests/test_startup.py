"""What starting costs: `onnxplain --help` and `import onnxplain` load nothing large, and yet offer everything."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import onnxplain
import pytest

LARGE = ("onnx", "numpy", "cv2", "onnxruntime", "onnx_graphsurgeon")


def fresh(code: str) -> list[str]:
    """The words that the code prints in a process of its own."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split()


@pytest.mark.parametrize(
    "start",
    [
        "import onnxplain; dir(onnxplain)",
        "from typer.testing import CliRunner; from onnxplain.cli import app; CliRunner().invoke(app, ['--help'])",
    ],
)
def test_starting_loads_nothing_large(start: str) -> None:
    loaded = fresh(f"{start}; import sys; print('onnxplain', *sys.modules)")
    assert "onnxplain" in loaded
    assert not {*LARGE} & {*loaded}


@pytest.mark.parametrize("name", onnxplain.__all__)
def test_each_public_name_is_found_first_thing(name: str) -> None:
    """And none of them is a module of the same name, though one has been imported."""
    code = f"import onnxplain.graph_rewrites.rewrite; from onnxplain import {name}; print(type({name}).__name__)"
    assert fresh(code) == ["dict" if name.isupper() else "type" if name[0].isupper() else "function"]


def test_the_tables_are_full_when_first_seen() -> None:
    for table, known in (("GRADIENTS", "Conv"), ("METHODS", "grad-cam"), ("RULES", "guided")):
        assert known in fresh(f"import onnxplain; print(*onnxplain.{table})")


def test_dir_shows_all_and_nothing_else_is_there() -> None:
    assert {*onnxplain.__all__, "__version__"} <= {*dir(onnxplain)}
    with pytest.raises(AttributeError, match="'onnxplain' has no attribute 'Explayner'"):
        _ = onnxplain.Explayner  # type: ignore[attr-defined]


def test_type_checkers_are_told_of_the_same_names() -> None:
    tree = ast.parse(Path(str(onnxplain.__file__)).read_text("utf-8"))
    told = {
        alias.name: f".{one.module}"
        for branch in tree.body
        if isinstance(branch, ast.If)
        for one in branch.body
        if isinstance(one, ast.ImportFrom)
        for alias in one.names
    }
    assert told == onnxplain._HOMES  # type: ignore[attr-defined]
    assert sorted(told) == sorted(onnxplain.__all__)


def test_the_version_is_the_distribution_s() -> None:
    assert fresh("import onnxplain; print(onnxplain.__version__)") == [metadata.version("onnxplain")]
