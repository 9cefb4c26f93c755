"""The command `report`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from .command_line import Run, assert_refused


def test_a_report_is_written_and_names_what_failed(convnet: Path, photo: Path, run_here: Run) -> None:
    folder = convnet.parent
    (folder / "broken.png").write_bytes(b"no picture")
    arguments = ["report", "convnet.onnx", "photo.png", "broken.png", "--preprocess", "raw,scale=1/255"]
    result = run_here(folder, *arguments, "--method", "grad-cam,gradient", "-t", "top2", "-o", "r.html", "--json")
    assert result.returncode == 1
    assert result.stderr.strip().startswith("error: broken.png: not a JPEG")
    summary = json.loads(result.stdout)
    assert [(one["name"], one["maps"]) for one in summary["images"]] == [("photo.png", 6)]  # 2 of each, and against
    assert len(summary["failures"]) == 1
    assert summary["bytes"] == (folder / "r.html").stat().st_size
    assert_refused(run_here(folder, *arguments, "-o", "r.pdf"), 2, "r.pdf", ".html")
