"""Images explained into a folder, here or on a Ray cluster; a run that was cut off goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..graph_rewrites.errors import OnnxplainError, UsageError
from ..graph_rewrites.model.metadata import VERSION
from .drawing import Draw, Drawing, Drawn
from .explainer import Explainer
from .images.files import atomic_write_bytes
from .plugins import LOADED
from .records.journal import Journal, fingerprint
from .records.tables import file_stem, row_of

RESULTS = "explanations.jsonl"


@dataclass(frozen=True)
class Written:
    """What stands in the folder now.

    Attributes:
        rows: of all explanations, image by image, those of an earlier run among them; see `row_of`.
        failures: the images that could not be explained.
    """

    rows: list[dict[str, Any]]
    failures: list[OnnxplainError]


def explain_folder(
    drawing: Drawing,
    explainer: Explainer,
    paths: Sequence[Path],
    folder: Path,
    *,
    draw: Draw | None = None,
    anew: bool = True,
    tell: Callable[[str], None] = lambda note: None,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda steps, total: steps,
) -> Written:
    """Writes the pictures of images, except of those that this very run has written before.

    The folder's journal, explanations.jsonl, tells what was written, by which model, arguments and so on. An image is
    drawn again if it failed, if its file has changed since, or if a picture of it is gone.

    Where the journal is another run's, a new one takes its place and `tell` says so. Pictures of that run stay, but for
    those whose names are needed: so one folder may hold what several runs draw, as of different classes. Without `anew`
    such a folder is refused.

    Args:
        drawing: what is drawn.
        explainer: its model, loaded.
        paths: the images.
        folder: where pictures and the journal are written, which must be there.
        draw: draws images elsewhere; default: here.
        anew: whether the journal of another run gives way.
        tell: told of that.
        progress: `(steps, total) -> steps`, which passes the images on and may show how far they are.

    Raises:
        UsageError: what is asked for does not fit the model, or the folder holds results of another run.
        OnnxplainError: a file cannot be written, or as `draw`.
    """
    explainer.asked(drawing.target, drawing.inputs)  # what does not fit is an error now, and leaves no journal
    with_layer = len(explainer.record["layers"]) > 1
    stamps = {path: _stamp(path) for path in paths}
    with Journal(folder / RESULTS, identity_of(drawing, explainer), anew=anew) as journal:
        if journal.replaced:
            tell(
                f"{journal.path}: belonged to another run, which differs in {', '.join(journal.replaced)}, and starts "
                "anew; pictures with other names stay"
            )
        todo = [
            path
            for path in paths
            if not _is_there(journal.records.get(str(path), {}), stamps[path], folder, drawing.suffixes)
        ]
        again = set(map(str, todo))
        kept = [record for name, record in journal.records.items() if name not in again]
        taken = {Path(row["overlay"]).stem for record in kept for row in record.get("rows", ())}
        for path, result in progress((draw or partial(drawing.here, explainer))(todo), len(todo)):
            if isinstance(result, UsageError):
                raise result
            if isinstance(result, OnnxplainError):
                journal.add({"image": str(path), "error": str(result)})
                continue
            rows = [_write(one, folder, taken, with_layer) for one in result]
            journal.add({"image": str(path), "file": stamps[path], "rows": rows})
        found = [journal.records[str(path)] for path in paths]
    rows = [_in(folder, row) for record in found for row in record.get("rows", ())]
    return Written(rows, [OnnxplainError(record["error"]) for record in found if "error" in record])


def identity_of(drawing: Drawing, explainer: Explainer) -> dict[str, Any]:
    """What pictures must have in common to be one run's, in plain JSON types."""
    plugins = {name: _digest(Path(name).read_bytes()) for name in LOADED if Path(name).is_file()}
    return {
        "version": VERSION,
        "arguments": {name: str(value) for name, value in drawing.arguments.items()},
        "target": str(drawing.target),
        "inputs": {name: _digest(value.tobytes()) for name, value in drawing.inputs.items()},
        "files": list(drawing.suffixes),
        # With what it was made of, as a score from a file and rules of one's own.
        "explained model": f"{drawing.model.name} {fingerprint(explainer.model)}",
        "preprocessing": explainer.preprocess.to_json(),
        "labels": _digest(json.dumps(explainer.labels).encode()),
        "plug-ins": plugins,
    }


def _stamp(path: Path) -> list[int] | None:
    """What changes with a file: its size in bytes, and when it was written in nanoseconds; None where it is gone."""
    try:
        state = path.stat()
    except OSError:
        return None
    return [state.st_size, state.st_mtime_ns]


def _is_there(record: Mapping[str, Any], stamp: list[int] | None, folder: Path, suffixes: Sequence[str]) -> bool:
    """Whether the record is of the image as it is now, and its pictures are in the folder."""
    if "rows" not in record or record.get("file") != stamp:
        return False
    pictures = [Path(_in(folder, row)["overlay"]) for row in record["rows"]]
    return all(picture.with_suffix(suffix).is_file() for picture in pictures for suffix in suffixes)


def _write(drawn: Drawn, folder: Path, taken: set[str], with_layer: bool) -> dict[str, Any]:
    """Writes the files of an explanation, and returns its row with the picture's name: the folder may be moved."""
    explanation, files = drawn
    stem = file_stem(explanation, taken, with_layer)
    for suffix, data in files.items():
        atomic_write_bytes(folder / f"{stem}{suffix}", data)
    return row_of(explanation, Path(f"{stem}.png"))


def _in(folder: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the picture's path."""
    return {**row, "overlay": str(folder / row["overlay"])}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
