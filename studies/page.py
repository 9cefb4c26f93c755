"""docs/studies.md: its generated sections stand between comments that name them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnxplain.engine.images.files import atomic_file

PAGE = Path(__file__).parents[1] / "docs" / "studies.md"


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Puts a text in the place of the section of that name.

    Raises:
        ValueError: the page has no such section.
    """
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page}: has no section {name!r}; add {begin.strip()} and {end}")
    with atomic_file(page) as file:
        file.write(f"{before}{begin}\n{text.strip()}\n\n{end}{after}".encode())


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
