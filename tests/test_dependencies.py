"""docs/dependencies.md says of each dependency why it is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_page_lists_the_dependencies_of_a_plain_installation() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [re.split(r"[<>=\[]", one)[0] for one in (*project["dependencies"], *extras["cpu"])]
    page = (ROOT / "docs" / "dependencies.md").read_text()
    table = page.split("\n\n")[2]
    assert re.findall(r"^\| ([\w-]+) .*\|", table, re.MULTILINE)[1:] == wanted
    assert [name for name in extras if f"`{name}`" not in page] == []
