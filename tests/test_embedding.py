"""docs/embedding.md: its examples run, what it shows is what is written, and what it says of other software holds."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnxplain import Explainer, rewrite
from onnxplain.engine import embedded
from onnxplain.engine.images.files import read_image, write_image
from onnxplain.engine.runtime.triton import write_triton_model
from onnxplain.graph_rewrites.model.metadata import read_metadata

from .engine.runtime.triton_schema import parse

PAGE = Path(__file__).parents[1] / "docs" / "embedding.md"
TEXT = PAGE.read_text(encoding="utf-8")
NAME = embedded.MODEL.stem


def blocks(language: str) -> list[str]:
    """The page's code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def explained() -> onnx.ModelProto:
    return rewrite(embedded.MODEL)


@pytest.fixture(scope="module")
def python(explained: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The variables of the Python examples, run one after the other."""
    folder = tmp_path_factory.mktemp("service")
    onnx.save(explained, folder / "explained.onnx")
    write_image(folder / "photo.jpg", read_image(embedded.PHOTO))
    variables: dict[str, Any] = {"folder": folder}
    before = Path.cwd()
    os.chdir(folder)
    try:
        for block in blocks("python"):
            exec(compile(block, PAGE.name, "exec"), variables)
    finally:
        os.chdir(before)
    return variables


def test_the_record(explained: onnx.ModelProto) -> None:
    record = read_metadata(explained)
    assert record is not None
    (shown,) = blocks("json")
    assert json.loads(shown) == record | {"labels": record["labels"][:2]}
    described = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", TEXT, re.MULTILINE))))
    assert {*record, "options"} <= described


def test_python_with_onnx_runtime_alone(python: dict[str, Any]) -> None:
    expected = Explainer(embedded.MODEL)(python["folder"] / "photo.jpg", [-1, 285])
    assert python["score"].shape == (1, 2)
    for k, one in enumerate(expected):
        assert python["score"][0, k] == pytest.approx(one.score, rel=1e-5)
        np.testing.assert_allclose(python["heatmap"][0, k], one.input_heatmap, atol=1e-5)
    assert python["heatmap"].max() == pytest.approx(1)


def test_onnx_runtime_computes_all_outputs_whichever_are_asked_for(explained: onnx.ModelProto, tmp_path: Path) -> None:
    feeds = {"image": np.zeros((1, 3, 224, 224), np.float32), "target": np.array([[-1]])}

    def kernels(outputs: list[str] | None, only_path: bool = False) -> int:
        options, run_options = ort.SessionOptions(), ort.RunOptions()
        options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
        run_options.only_execute_path_to_fetches = only_path
        session = ort.InferenceSession(explained.SerializeToString(), options, providers=["CPUExecutionProvider"])
        session.run(outputs, feeds, run_options)
        events = json.loads(Path(session.end_profiling()).read_text())
        return sum(event["cat"] == "Node" and event["name"].endswith("_kernel_time") for event in events)

    everything = kernels(None)
    assert everything > 100
    assert kernels(["logits"]) == kernels(["logits"], only_path=True) == everything


def test_the_triton_repository(explained: onnx.ModelProto, python: dict[str, Any], tmp_path: Path) -> None:
    model = write_triton_model(explained, tmp_path / "models", NAME)
    (config,) = blocks("protobuf")
    assert (tmp_path / "models" / NAME / "config.pbtxt").read_text() == config
    (layout,) = blocks("text")
    written = [path.relative_to(tmp_path) for path in (tmp_path / "models").rglob("*")]
    assert sorted(line.strip(" /") for line in layout.splitlines()[1:]) == sorted(path.name for path in written)

    served, body = parse(config), python["body"]
    wanted = {one["name"]: (one["data_type"].removeprefix("TYPE_"), one["dims"]) for one in served["input"]}
    feeds = {}
    for one in body["inputs"]:
        kind, dims = wanted[one["name"]]
        assert (one["datatype"], len(one["shape"])) == (kind, len(dims) + 1)
        dtype = {"FP32": np.float32, "INT64": np.int64}[kind]
        feeds[one["name"]] = np.array(one["data"], dtype).reshape(one["shape"])
    names = [one["name"] for one in body["outputs"]]
    assert {*names} <= {one["name"] for one in served["output"]}
    score, heatmap, _ = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(names, feeds)
    np.testing.assert_allclose(score, python["score"], rtol=1e-5)
    np.testing.assert_allclose(heatmap, python["heatmap"], atol=1e-5)


def test_links_lead_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", TEXT) if target]
    assert len(targets) > 5
    assert [target for target in targets if not (PAGE.parent / target).exists()] == []


@pytest.mark.deployment
def test_the_cpp_program_prints_pythons_values(explained: onnx.ModelProto, tmp_path: Path) -> None:
    if shutil.which("c++") is None:
        pytest.skip("c++ is not installed; on Debian: apt install g++")
    if not (root := os.environ.get("ONNXRUNTIME_ROOT")):
        pytest.skip("ONNXRUNTIME_ROOT is not set; unpack a release of ONNX Runtime and set it to that folder")
    (source,) = blocks("cpp")
    (tmp_path / "service.cpp").write_text(source)
    onnx.save(explained, tmp_path / "explained.onnx")
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-o", "service", "service.cpp"]
    headers = [f"-isystem{root}/include", f"-isystem{root}/include/onnxruntime"]
    library = [f"-L{root}/lib", f"-Wl,-rpath,{root}/lib", "-lonnxruntime"]
    built = subprocess.run(["c++", *flags, *headers, *library], cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    run = subprocess.run(["./service"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)

    record, *lines = run.stdout.splitlines()
    assert json.loads(record) == read_metadata(explained)
    feeds = {"image": np.full((1, 3, 224, 224), 0.5, np.float32)}
    result = Explainer(explained).run(feeds, [-1, 285])
    assert len(lines) == 2
    for k, line in enumerate(lines):
        score, hottest = line.split()
        assert float(score) == pytest.approx(result["score"][0, k], rel=1e-4)
        heatmap = result["heatmap"][0, k].ravel()
        assert heatmap[int(hottest)] == pytest.approx(heatmap.max(), abs=1e-5)
        assert heatmap.max() == pytest.approx(1)
