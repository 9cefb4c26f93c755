"""A run's results, one line an image, appended as they come, so that a run that was cut off goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from ...graph_rewrites.errors import OnnxplainError, UsageError
from ...graph_rewrites.model.model import ModelSource, load
from ..images.files import atomic_write_bytes


class Journal:
    """A JSON Lines file: the run's identity, then a record for each image; the last one of an image counts.

    Args:
        path: the file; it is made where there is none.
        identity: what the records must have in common, in plain JSON types.
        anew: whether a file of another run is replaced by a new one; else it is refused.

    Attributes:
        records: by image.
        replaced: in what the run differs whose file was replaced; empty where none was.

    Raises:
        UsageError: the file holds results of another run, or something else.
        OnnxplainError: it cannot be read or written.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], *, anew: bool = False) -> None:
        self.path = path
        self.records: dict[str, dict[str, Any]] = {}
        self.replaced: list[str] = []
        known = json.loads(json.dumps(identity))
        try:
            lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
            whole = [line for line in lines if line.endswith(b"\n")]  # the last may have been cut off
            if whole:
                self.replaced = self._read(whole, known)
            elif lines and not _line(known).startswith(lines[0]):
                raise self._foreign()
            if self.replaced and not anew:
                raise UsageError(
                    f"{path}: holds results of another run, which differs in {', '.join(self.replaced)}; choose another"
                    " folder by -o, or remove it"
                )
            if self.replaced:
                whole, self.records = [_line(known)], {}
                atomic_write_bytes(path, whole[0])
            self._file: BinaryIO = path.open("ab")
            self._file.truncate(sum(map(len, whole)))
            if not whole:
                self._write(known)
        except OSError as error:
            raise OnnxplainError(f"{path}: cannot be written ({error.strerror}); choose a writable folder") from error

    @property
    def done(self) -> set[str]:
        """The images measured; those that failed are tried again."""
        return {name for name, record in self.records.items() if "error" not in record}

    def add(self, record: dict[str, Any]) -> None:
        """Appends the record of an image.

        Raises:
            OnnxplainError: it cannot be written, as on a full disk.
        """
        try:
            self._write(record)
        except OSError as error:
            raise OnnxplainError(f"{self.path}: cannot be written ({error.strerror}); make room and go on") from error
        self.records[record["image"]] = record

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _write(self, data: Mapping[str, Any]) -> None:
        self._file.write(_line(data))
        self._file.flush()

    def _read(self, lines: list[bytes], identity: dict[str, Any]) -> list[str]:
        """Reads the records, and returns in what the identities differ."""
        try:
            found, *records = map(json.loads, lines)
            self.records = {record["image"]: record for record in records}
            return [key for key in identity if found.get(key) != identity[key]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._foreign() from error

    def _foreign(self) -> UsageError:
        return UsageError(f"{self.path}: holds no results of this command; choose another folder by -o")


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode() + b"\n"


def fingerprint(model: ModelSource) -> str:
    """What tells a model from others: SHA-256 of its nodes and weights."""
    graph, digest = load(model).graph, hashlib.sha256()
    for part in (*graph.node, *graph.initializer):
        digest.update(part.SerializeToString(deterministic=True))
    return digest.hexdigest()
