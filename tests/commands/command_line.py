"""Runs the command line as a user does: in a process of its own, in a folder of the test's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `onnxplain ARGUMENTS` in `folder`."""
    command = [sys.executable, "-c", "from onnxplain.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def assert_refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One line on stderr that holds all the words, nothing on stdout, and the exit code."""
    assert result.returncode == code, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert all(word in lines[0] for word in words), lines[0]
    assert not result.stdout
