"""docs/studies.md: its links lead somewhere, and its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from onnxplain.cli import app

from studies.page import PAGE, table, write_section

TEXT = PAGE.read_text()


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    assert len(links) > 20
    for link in links:
        path, _, anchor = link.partition("#")
        page = (PAGE.parent / path).resolve() if path else PAGE
        assert page.exists(), link
        assert not anchor or anchor in anchors(page), link


def test_its_commands_and_their_options_exist() -> None:
    """Those in the table and in the blocks: `onnxplain NAME`, and each --option behind it."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = re.findall(r"(?:^|`)onnxplain (\w+)([^`\n|]*)", TEXT, re.MULTILINE)
    assert len(found) > 15
    for name, rest in found:
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"(?<= )--[\w-]+", rest)) <= options, (name, rest)


def test_a_section_is_put_in_its_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a:begin -->\nold\n<!-- a:end -->\nbetween\n<!-- b:begin -->\n<!-- b:end -->\n")
    write_section("a", table(["x", "y"], [["1", "2"]]), page)
    filled = "before\n<!-- a:begin -->\n\n| x | y |\n| --- | --- |\n| 1 | 2 |\n\n<!-- a:end -->\n"
    assert page.read_text() == filled + "between\n<!-- b:begin -->\n<!-- b:end -->\n"
    with pytest.raises(ValueError, match="no section 'c'"):
        write_section("c", "text", page)
