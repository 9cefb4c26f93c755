"""Commands on a Ray cluster of two workers give what they give without one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from .engine.evaluation.colours import PREPROCESS, write_scenes
from .graph_rewrites.networks import small_cnn

pytestmark = pytest.mark.cluster

RUN = "import ray; ray.init(address={address!r}, log_to_driver=False); from onnxplain.cli import main; main()"
NUMBERS = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two cores."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    context = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield context.address_info["address"]
    ray.shutdown()


def run(folder: Path, cluster: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `onnxplain ARGUMENTS` in `folder`, connected to the cluster."""
    command = [sys.executable, "-c", RUN.format(address=cluster), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def test_evaluate_finds_the_same_and_goes_on(tmp_path: Path, cluster: str) -> None:
    write_scenes(tmp_path, gone=["gone.png", "red", "1", "1", "2", "2"])
    base = ("evaluate", "colours.onnx", "boxes.csv", "--preprocess", PREPROCESS, "--json")
    methods = ("--methods", "grad-cam,gradient,occlusion", "--metrics", "localisation,pointing,rejection,energy,drop")
    here = run(tmp_path, cluster, *base, *methods, "-o", "here")
    spread = run(tmp_path, cluster, *base, *methods, "-o", "spread", "--ray")
    assert (here.returncode, spread.returncode) == (1, 1), here.stderr + spread.stderr
    assert here.stderr.splitlines()[-1] == spread.stderr.splitlines()[-1]
    assert "gone.png" in spread.stderr
    found, wanted = (json.loads(one.stdout) for one in (spread, here))
    assert (found["measured"], found["failures"]) == (4, wanted["failures"])
    for method, figures in wanted["figures"].items():
        for column, value in figures.items():
            known = value if value is None else pytest.approx(value, rel=1e-5, abs=1e-6)
            assert found["figures"][method][column] == known, (method, column)
    lines = (tmp_path / "spread" / "results.jsonl").read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["image"] for line in lines[1:]] == ["a.png", "b.png", "c.png", "d.png", "gone.png"]
    (tmp_path / "spread" / "results.jsonl").write_bytes(b"".join(lines[:3]))
    again = json.loads(run(tmp_path, cluster, *base, *methods, "-o", "spread", "--ray").stdout)
    assert (again["resumed"], again["figures"]) == (2, found["figures"])


def test_a_folder_is_explained_alike_and_gone_on_with(tmp_path: Path, cluster: str) -> None:
    onnx.save(small_cnn(), tmp_path / "model.onnx")
    for index, name in enumerate(("one/a.png", "two/a.png", "two/b.png")):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (20, 24, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "photos" / name), pixels)
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    base = ("explain", "model.onnx", "photos", "--preprocess", "raw,scale=1/255", "-t", "top2", "--npy", "--json")
    here = run(tmp_path, cluster, *base, "-o", "here")
    spread = run(tmp_path, cluster, *base, "-o", "spread", "--ray")
    assert here.returncode == spread.returncode == 1, here.stderr + spread.stderr
    assert "broken.png: not a JPEG" in spread.stderr
    wanted, found = (json.loads(one.stdout) for one in (here, spread))
    assert [one["overlay"].replace("here", "spread") for one in wanted] == [one["overlay"] for one in found]
    assert len(found) == 6
    for one, other in zip(wanted, found, strict=True):
        assert one["score"] == pytest.approx(other["score"], rel=1e-5)
        maps = [np.load((tmp_path / row["overlay"]).with_suffix(".npy")) for row in (one, other)]
        np.testing.assert_allclose(*maps, **NUMBERS)
        pictures = [cv2.imread(str(tmp_path / row["overlay"])).astype(int) for row in (one, other)]
        assert np.abs(pictures[0] - pictures[1]).max() <= 1
    written = sorted(path.name for path in (tmp_path / "spread").iterdir())
    assert written == sorted(path.name for path in (tmp_path / "here").iterdir())
    assert len([name for name in written if name != "explanations.jsonl"]) == 12

    journal = tmp_path / "spread" / "explanations.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))  # cut off before the last image
    before = (tmp_path / found[0]["overlay"]).stat().st_mtime_ns
    again = run(tmp_path, cluster, *base, "-o", "spread", "--ray")
    assert again.returncode == 1, again.stderr
    assert json.loads(again.stdout) == found
    assert (tmp_path / found[0]["overlay"]).stat().st_mtime_ns == before
    shutil.copytree(tmp_path / "spread", tmp_path / "copy")
    here = run(tmp_path, cluster, *base, "-o", "copy")  # begun on the cluster, and gone on with without it
    assert [one["overlay"].replace("copy", "spread") for one in json.loads(here.stdout)] == [
        one["overlay"] for one in found
    ]
    assert (tmp_path / found[0]["overlay"].replace("spread", "copy")).stat().st_mtime_ns == before
    other = run(tmp_path, cluster, *base, "-o", "spread", "--ray", "--method", "layer-cam")
    assert other.returncode == 2
    assert "holds results of another run, which differs in arguments" in other.stderr


def test_rules_of_ones_own_are_known_to_the_workers(tmp_path: Path, cluster: str) -> None:
    write_scenes(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import onnxplain\n\n\n@onnxplain.method('mine')\ndef mine(layer):\n"
        "    return layer.op.ReduceSum(layer.op.Mul(layer.gradient, layer.activation), [1], keepdims=1)\n"
    )
    arguments = ["evaluate", "colours.onnx", "boxes.csv", "--preprocess", PREPROCESS, "--method", "mine", "--json"]
    result = run(tmp_path, cluster, "--plugin", "mine.py", *arguments, "--ray")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["figures"]["mine"]["energy inside"] == pytest.approx(1, abs=1e-6)
