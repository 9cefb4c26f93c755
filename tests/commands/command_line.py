"""Runs the command line as a user does: in a process of its own, in a folder of the test's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from onnxplain.cli import main


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `onnxplain ARGUMENTS` in `folder`."""
    command = [sys.executable, "-c", "from onnxplain.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def run_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """The same in this process, which spares its start."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["onnxplain", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    output = capsys.readouterr()
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), output.out, output.err)


def assert_refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One line on stderr that holds all the words, nothing on stdout, and the exit code."""
    assert result.returncode == code, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert all(word in lines[0] for word in words), lines[0]
    assert not result.stdout
