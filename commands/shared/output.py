"""Output of the commands, on the terminal and in files: results, notes, progress, errors, pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console, RenderableType
from rich.progress import MofNCompleteColumn, Progress

from ...engine.compare import Comparison, name_of
from ...engine.explained import ExplainedModel
from ...engine.explanation import Explanation
from ...engine.images.files import write_image
from ...engine.records.tables import row_of
from ...engine.render.contact_sheet import contact_sheet
from ...graph_rewrites.errors import OnnxplainError

screen, notes = Console(), Console(stderr=True)


def show(data: Any, shown: RenderableType, as_json: bool) -> None:
    """Prints the result: `data` for programs, `shown` for people."""
    if as_json:
        print(json.dumps(data, ensure_ascii=False, indent=2))
    else:
        screen.print(shown)


def save_comparison(
    comparison: Comparison, output: Path, as_json: bool, describe: Callable[[Explanation], str] = name_of
) -> None:
    """Writes the picture of a comparison, with a description below each map, and prints its contents."""
    write_image(output, contact_sheet(comparison, describe=describe))
    cells = comparison.cells.items()
    rows = [{"row": row, "column": column, **row_of(one, output)} for (row, column), one in cells]
    show(rows, f"{output}: {len(comparison.rows)} x {len(comparison.columns)} explanations", as_json)


def make_folder(folder: Path) -> None:
    """Makes the folder where there is none.

    Raises:
        OnnxplainError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OnnxplainError(
            f"{folder}: the output folder cannot be made ({error.strerror}); choose another"
        ) from error


def steps(each: Iterable[Any], total: int, doing: str = "explaining") -> Iterator[Any]:
    """The steps, with a progress bar on the terminal where there are many."""
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=notes, transient=True, disable=total < 2 or not notes.is_terminal) as progress:
        yield from progress.track(each, total=total, description=doing)


def note_assumption(model: ExplainedModel) -> None:
    """Prints a note if preprocessing is neither given nor recorded."""
    if model.preprocess_is_assumed:
        notes.print(f"note: the model records no preprocessing; assuming {model.preprocess}, see --preprocess")


def report_all(failures: Sequence[OnnxplainError]) -> None:
    """Prints the failures, and then exits with 1."""
    for failure in failures:
        report_error(failure)
    if failures:
        raise typer.Exit(1)


def shortened(failures: Sequence[OnnxplainError], place: Path, most: int = 10) -> list[OnnxplainError]:
    """The failures to print; if there are more, the last line names the file that lists all."""
    if len(failures) <= most:
        return list(failures)
    return [*failures[:most], OnnxplainError(f"{len(failures) - most} more images failed; {place} lists all of them")]


def report_error(error: OnnxplainError) -> None:
    """Prints an error as one line on stderr."""
    print(f"error: {error}", file=sys.stderr)
