"""Images from paths and arrays, finding them, and writing them whole or not at all."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxplain.engine.images.files import (
    as_image,
    atomic_file,
    atomic_write_bytes,
    find_images,
    read_image,
    write_image,
)
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError

from .pictures import (
    BLUE,
    FOUR,
    GREEN,
    RED,
    WHITE,
    put,
)


def test_as_image_reads_paths_and_keeps_arrays(tmp_path: Path) -> None:
    write_image(tmp_path / "four.png", FOUR)
    np.testing.assert_array_equal(as_image(str(tmp_path / "four.png")), FOUR)
    np.testing.assert_array_equal(as_image(tmp_path / "four.png"), FOUR)
    assert as_image(FOUR) is FOUR
    reversed_rows = as_image(FOUR[::-1])
    assert reversed_rows.flags.c_contiguous
    np.testing.assert_array_equal(reversed_rows, [[BLUE, WHITE], [RED, GREEN]])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (np.zeros((4, 5, 3), np.float32), r"float32 \[4, 5, 3\]"),
        (np.zeros((3, 4, 5), np.uint8), r"uint8 \[3, 4, 5\]"),
        (np.zeros((4, 5), np.uint8), r"uint8 \[4, 5\]"),
        (np.zeros((4, 5, 4), np.uint8), r"uint8 \[4, 5, 4\]"),
        (np.zeros((0, 5, 3), np.uint8), r"uint8 \[0, 5, 3\]"),
        (17, "type int"),
        (None, "type NoneType"),
    ],
)
def test_as_image_says_what_it_was_given(given: Any, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        as_image(given)


def test_find_images_in_folders_patterns_and_files(tmp_path: Path) -> None:
    for name in (
        "b.png",
        "a.JPG",
        "notes.txt",
        "sub/c.tif",
        "sub/deep/d.webp",
        ".hidden.png",
        ".cache/e.png",
        "raw.bin",
    ):
        put(tmp_path, name, b"x")

    def names(*given: Path | str) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in find_images(given)]

    assert names(tmp_path) == ["a.JPG", "b.png", "sub/c.tif", "sub/deep/d.webp"]
    assert names(tmp_path / "sub", tmp_path / "a.JPG") == ["sub/c.tif", "sub/deep/d.webp", "a.JPG"]
    assert names(f"{tmp_path}/*") == ["a.JPG", "b.png"]
    assert names(f"{tmp_path}/**/*.w*") == ["sub/deep/d.webp"]
    assert names(tmp_path / "raw.bin") == ["raw.bin"]
    assert names(tmp_path / "b.png", tmp_path / "sub" / ".." / "b.png", tmp_path) == names(tmp_path / "b.png", tmp_path)
    assert find_images(str(tmp_path / "b.png")) == [tmp_path / "b.png"]


def test_find_images_sorts_what_the_file_system_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [str(put(tmp_path, name, b"x")) for name in ("b.png", "c.png", "a.png")]
    monkeypatch.setattr(glob, "glob", lambda *_, **__: files)
    assert [path.name for path in find_images([tmp_path])] == ["a.png", "b.png", "c.png"]


def test_find_images_takes_names_before_patterns(tmp_path: Path) -> None:
    bracketed, other = put(tmp_path, "[ab]/x[1].png", b"x"), put(tmp_path, "a/x1.png", b"x")
    assert find_images([bracketed]) == [bracketed]
    assert find_images([tmp_path / "[ab]"]) == [bracketed]
    assert find_images([f"{tmp_path}/[a]/x[1].png"]) == [other]


@pytest.mark.parametrize("missing", ["none.png", "*.gif", "empty"])
def test_find_images_names_what_matches_nothing(tmp_path: Path, missing: str) -> None:
    put(tmp_path, "empty/notes.txt", b"x")
    there = put(tmp_path, "there.png", b"x")
    with pytest.raises(UsageError) as caught:
        find_images([there, tmp_path / missing])
    assert str(caught.value).startswith(f"{tmp_path / missing}: no ")


@pytest.mark.parametrize("name", ["x", "x.txt", "x.gif", "x.png.tmp"])
def test_unknown_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"x.*use \.png"):
        write_image(tmp_path / name, FOUR)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("array", [FOUR.astype(np.float32), FOUR[..., 0].astype(float), FOUR[..., :2], FOUR[:0, :, 0]])
def test_other_arrays_are_not_written(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(UsageError, match=str(array.dtype)):
        write_image(tmp_path / "x.png", array)
    assert not list(tmp_path.iterdir())


def test_more_pixels_than_the_format_holds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OnnxplainError, match=r"x\.jpg: 70000 x 1 pixels"):
        write_image(tmp_path / "x.jpg", np.zeros((1, 70000, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_atomic_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = put(tmp_path, "n" * 250 + ".bin", b"old")
    atomic_write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("step", ["write", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_keeps_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    target = put(tmp_path, "x.bin", b"old")

    def fail(*arguments: Any) -> None:
        raise error

    def write() -> None:
        with atomic_file(target) as file:
            file.write(b"ne")
            if step == "write":
                fail()

    if step == "replace":
        monkeypatch.setattr(Path, step, fail)
    expected = OnnxplainError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        write()
    assert expected is KeyboardInterrupt or str(caught.value).startswith(f"{target}: cannot be written (No space left")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_unwritable_places_are_refused(tmp_path: Path) -> None:
    file = put(tmp_path, "file", b"x")
    for path in (tmp_path / "no folder" / "x.png", file / "x.png"):
        with pytest.raises(OnnxplainError, match="cannot be written"):
            write_image(path, FOUR)
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "folder.png", Path(os.devnull)):
        with pytest.raises(OnnxplainError, match="not a regular file"):
            atomic_write_bytes(path, b"x")
    assert sorted(tmp_path.iterdir()) == [file, tmp_path / "folder.png"]
    assert file.read_bytes() == b"x"


@pytest.mark.skipif(os.name == "nt", reason="permissions and links of POSIX")
def test_written_files_have_usual_permissions_and_links_stay(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "folder" / "real.png")
    before = os.umask(0o022)
    try:
        write_image(tmp_path / "link.png", FOUR)
    finally:
        os.umask(before)
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "folder" / "real.png").stat().st_mode & 0o777 == 0o644
    np.testing.assert_array_equal(read_image(tmp_path / "folder" / "real.png"), FOUR)
