"""HTML pages, filled in from a template."""

from __future__ import annotations

from pathlib import Path

import jinja2


def html_template(path: Path) -> jinja2.Template:
    """The Jinja2 template of a page, which may include others of its folder; a name without a value is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(path.parent),
        autoescape=True,  # labels, classes and names of files are whatever somebody called them
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template(path.name)
