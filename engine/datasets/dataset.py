"""A data set: its images by name, each annotation read when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...graph_rewrites.errors import OnnxplainError, UsageError
from .annotation import AnnotatedImage

Entry = Callable[[], AnnotatedImage]


@dataclass(frozen=True)
class Dataset:
    """Annotated images.

    Attributes:
        path: the file or folder that it was read from.
        kind: the format.
        entries: what reads each image's annotation, by the image's name in the data set; may be pickled.
        classes: the classes that occur, where the format tells them before all annotations are read; else None.
    """

    path: Path
    kind: str
    entries: Mapping[str, Entry]
    classes: tuple[str, ...] | None = None

    @property
    def fingerprint(self) -> str:
        """What tells these images from others: SHA-256 of their names."""
        return hashlib.sha256("\n".join(self.entries).encode("utf-8", "surrogateescape")).hexdigest()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[AnnotatedImage]:
        """The images in order.

        Raises:
            OnnxplainError: an annotation that cannot be read.
        """
        return (entry() for entry in self.entries.values())


def image_folder(given: Path | None, default: Path) -> Path:
    """The folder that the images are in.

    Raises:
        OnnxplainError: there is no such folder.
    """
    folder = default if given is None else given
    if not folder.is_dir():
        raise OnnxplainError(f"{folder}: no such folder of images; say where they are by images= (--images)")
    return folder


def require_images(path: Path, folder: Path, files: Iterator[Path]) -> None:
    """Refuses a data set of which no image is there: then the folder is wrong, not an image missing.

    Raises:
        UsageError: no image is there.
    """
    first = next(files, None)
    if first is None:
        raise UsageError(f"{path}: annotates no image; choose another file")
    if not (first.is_file() or any(file.is_file() for file in files)):
        raise UsageError(
            f"{path}: none of its images is in {folder} (looked for {first.name}); say where they are by images="
            " (--images)"
        )


def read_text(path: Path) -> str:
    """The text of an annotation file.

    Raises:
        OnnxplainError: it cannot be read, or is no UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise OnnxplainError(f"{path}: the annotation cannot be read ({reason}); check the path") from error
