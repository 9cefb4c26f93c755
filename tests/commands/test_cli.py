"""The command line, run as a user runs it: in a process of its own, in an empty folder."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnxplain.cli import app, main

REPOSITORY = Path(__file__).parents[2]
CONVNET = """
<ir_version: 8, opset_import: ["": 17]>
convnet (float[N, 3, H, W] image) => (float[N, 4] scores)
<float[4, 6] classifier = {CLASSIFIER}, float[6, 3, 3, 3] kernel = {KERNEL}>
{
    maps = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (image, kernel)
    features = Relu (maps)
    pooled = GlobalAveragePool (features)
    vector = Flatten (pooled)
    logits = Gemm <transB = 1> (vector, classifier)
    scores = Softmax (logits)
}
"""


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


def listed(values: np.ndarray) -> str:
    """Values as ONNX text."""
    return "{" + ", ".join(f"{value:.6f}" for value in values.ravel()) + "}"


@pytest.fixture
def convnet(tmp_path: Path) -> Path:
    """A small seeded network with symbolic batch, height and width."""
    rng = np.random.default_rng(0)
    text = CONVNET.replace("{CLASSIFIER}", listed(rng.normal(size=(4, 6))))
    model = onnx.parser.parse_model(text.replace("{KERNEL}", listed(rng.normal(size=(6, 3, 3, 3)))))
    onnx.save(model, tmp_path / "convnet.onnx")
    return tmp_path / "convnet.onnx"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small random picture."""
    cv2.imwrite(str(tmp_path / "photo.png"), np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8))
    return tmp_path / "photo.png"


def test_a_report_is_written_and_names_what_failed(convnet: Path, photo: Path) -> None:
    folder = convnet.parent
    (folder / "broken.png").write_bytes(b"no picture")
    arguments = ["report", "convnet.onnx", "photo.png", "broken.png", "--preprocess", "raw,scale=1/255"]
    result = run(folder, *arguments, "--method", "grad-cam,gradient", "-t", "top2", "-o", "r.html", "--json")
    assert result.returncode == 1
    assert result.stderr.strip().startswith("error: broken.png: not a JPEG")
    summary = json.loads(result.stdout)
    assert [(one["name"], one["maps"]) for one in summary["images"]] == [("photo.png", 6)]  # 2 of each, and against
    assert len(summary["failures"]) == 1
    assert summary["bytes"] == (folder / "r.html").stat().st_size
    assert_refused(run(folder, *arguments, "-o", "r.pdf"), 2, "r.pdf", ".html")


def assert_refused(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One line on stderr that holds all the words, nothing on stdout, and the exit code."""
    assert result.returncode == code, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert all(word in lines[0] for word in words), lines[0]
    assert not result.stdout


def test_explain_without_arguments_lights_the_cat(tmp_path: Path) -> None:
    result = run(tmp_path, "explain", "--json", "--npy")
    assert result.returncode == 0, result.stderr
    (row,) = json.loads(result.stdout)
    assert (row["target"], row["label"]) == (285, "Egyptian cat")
    heatmap = np.load(tmp_path / "explanations" / "chelsea_285_Egyptian-cat.npy")
    picture = cv2.imread(str(tmp_path / row["overlay"]))
    assert heatmap.shape == picture.shape[:2] == (300, 451)
    # The face fills the middle of the photo; the background lies along its right edge.
    assert heatmap[60:280, 60:350].mean() > 3 * heatmap[:, 400:].mean()
    assert heatmap.max() == pytest.approx(1, abs=0.02)


def test_an_explained_model_needs_no_flags(tmp_path: Path, convnet: Path, photo: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("ant\nbee\ncat\ndog\n")
    given = ["--preprocess", "raw,scale=1/255", "--labels", "labels.txt"]
    assert run(tmp_path, "rewrite", "convnet.onnx", "-o", "explained.onnx", *given).returncode == 0
    direct = run(tmp_path, "explain", "convnet.onnx", "photo.png", *given, "-t", "top5", "--json")
    assert_refused(direct, 2, "top5", "4")
    direct = run(tmp_path, "explain", "convnet.onnx", "photo.png", *given, "-t", "bee", "-t", "-1", "--npy", "--json")
    again = run(
        tmp_path, "explain", "explained.onnx", "photo.png", "-t", "bee", "-t", "-1", "-o", "again", "--npy", "--json"
    )
    first, second = json.loads(direct.stdout), json.loads(again.stdout)
    assert [row["label"] for row in first] == [row["label"] for row in second]
    assert first[0]["label"] == "bee"
    for one, other in zip(first, second, strict=True):
        assert one["score"] == pytest.approx(other["score"], rel=1e-6)
        names = [Path(row["overlay"]).with_suffix(".npy") for row in (one, other)]
        np.testing.assert_allclose(*(np.load(tmp_path / name) for name in names), atol=1e-6)


def test_layers_marks_the_default(tmp_path: Path, convnet: Path) -> None:
    found = json.loads(run(tmp_path, "layers", "convnet.onnx", "--json").stdout)
    assert [(layer["name"], layer["is_default"]) for layer in found] == [("features", True)]
    assert "features" in run(tmp_path, "layers", "convnet.onnx").stdout


def test_check_certifies_a_model_with_open_sizes(tmp_path: Path, convnet: Path) -> None:
    result = run(tmp_path, "check", "convnet.onnx", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    certificate = json.loads(result.stdout)
    names = [finding["name"] for finding in certificate["findings"]]
    assert names == ["original outputs", "runtime gradient", "layer gradient", "input gradient"]
    assert certificate["passed"]
    assert ["Conv", 1, "rule"] in certificate["to_input"]


def test_a_folder_is_explained_and_the_broken_file_named(tmp_path: Path, convnet: Path, photo: Path) -> None:
    (tmp_path / "in").mkdir()
    photo.rename(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_text("no picture")
    result = run(tmp_path, "explain", "convnet.onnx", "in", "--preprocess", "raw", "--json")
    assert result.returncode == 1
    assert "b.png" in result.stderr
    assert [Path(row["image"]).name for row in json.loads(result.stdout)] == ["a.png"]


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
    tmp_path: Path, convnet: Path, photo: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    before = sorted(tmp_path.iterdir())
    assert_refused(run(tmp_path, *arguments), code, *words)
    written = [path for path in sorted(tmp_path.iterdir()) if path not in before]
    assert [path.name for path in written] in ([], ["explanations"])
    assert not any(list(path.iterdir()) for path in written)


def test_the_readme_shows_every_command() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    shown = {line.split()[1] for line in readme.splitlines() if line.startswith("onnxplain ")}
    assert shown == {command.name or command.callback.__name__ for command in app.registered_commands}


def test_version_is_the_package_s(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout.strip() == f"onnxplain {metadata.version('onnxplain')}"
