"""The command line as a whole."""

from __future__ import annotations

import inspect
from importlib import metadata
from pathlib import Path

import pytest
import typer
from onnxplain.cli import app

from .command_line import Run, assert_refused, run

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["explain", "missing.onnx", "photo.png"], 1, ["missing.onnx", "no such file"]),
        (["explain", "photo.png", "photo.png"], 1, ["photo.png", "ONNX"]),
        (["explain", "convnet.onnx"], 2, ["no images"]),
        (["explain", "convnet.onnx", "none.png", "--preprocess", "raw"], 2, ["none.png"]),
        (["explain", "convnet.onnx", "photo.png", "--preprocess", "imagenat"], 2, ["imagenat", "imagenet"]),
        (["explain", "convnet.onnx", "photo.png", "--layer", "featores"], 2, ["featores", "'features'"]),
        (["explain", "convnet.onnx", "photo.png", "--layer", "vector"], 1, ["vector", "no spatial axes"]),
        (["explain", "convnet.onnx", "photo.png", "--preprocess", "raw", "-t", "4"], 2, ["4", "out of range"]),
        (["explain", "convnet.onnx", "photo.png", "--preprocess", "raw", "-t", "cat"], 2, ["cat", "--labels"]),
        (["explain", "convnet.onnx", "photo.png", "--method", "gradcam"], 2, ["gradcam", "'grad-cam'"]),
        (["explain", "convnet.onnx", "photo.png", "--rules", "guided"], 1, ["guided", "no ReLU"]),
        (["explain", "convnet.onnx", "photo.png", "--score", "score"], 2, ["score", "'scores'"]),
        (["explain", "convnet.onnx", "photo.png", "--providers", "gpu"], 2, ["gpu"]),
        (["explain", "convnet.onnx", "photo.png", "--providers", "cuda"], 1, ["CUDA"]),
        (["explain", "convnet.onnx", "photo.png", "--preprocess", "raw", "-o", "photo.png"], 1, ["photo.png"]),
        (["rewrite", "convnet.onnx", "-o", "nowhere/explained.onnx"], 1, ["nowhere"]),
        (["rewrite", "convnet.onnx", "--outputs", "heat"], 2, ["heat", "'heatmap'"]),
        (["rewrite", "convnet.onnx", "--labels", "photo.png"], 1, ["photo.png", "labels"]),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, convnet: Path, photo: Path, run_here: Run, arguments: list[str], code: int, words: list[str]
) -> None:
    before = sorted(tmp_path.iterdir())
    assert_refused(run_here(tmp_path, *arguments), code, *words)
    written = [path for path in sorted(tmp_path.iterdir()) if path not in before]
    assert [path.name for path in written] in ([], ["explanations"])
    assert not any(list(path.iterdir()) for path in written)


def test_the_readme_shows_every_command() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    shown = {line.split()[1] for line in readme.splitlines() if line.startswith("onnxplain ")}
    assert shown == {command.name or command.callback.__name__ for command in app.registered_commands}


def test_version_is_the_package_s(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout.strip() == f"onnxplain {metadata.version('onnxplain')}"


def test_the_help_of_a_listed_command_is_its_function_s(tmp_path: Path) -> None:
    listed = run(tmp_path, "--help").stdout
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        assert command.help == inspect.getdoc(command.callback)
        assert f" {name} " in listed
        assert " ".join(command.help.split()[:4]) in listed


def test_a_misspelt_command_is_corrected(tmp_path: Path) -> None:
    result = run(tmp_path, "expalin")
    assert result.returncode == 2
    assert "No such command 'expalin'. Did you mean 'explain'?" in result.stderr
    assert not result.stdout


def test_the_help_of_a_command_knows_the_methods_of_a_plugin(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import onnxplain\nonnxplain.method('of-mine')(lambda place: place.gradient)\n")
    assert "of-mine" in run(tmp_path, "--plugin", "mine.py", "explain", "--help").stdout
    assert "of-mine" not in run(tmp_path, "explain", "--help").stdout
