"""The C++ host: its heatmaps are those of Python, and it serves many requests without leaks or races."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxplain
import pytest
from onnx import TensorProto
from onnxplain import Explainer
from onnxplain.engine.render.overlays import saliency

from ..graph_rewrites.networks import small_cnn
from .cpp_program import Program, Run, build, cast_cnn, read_ppm, save, small, write_ppm

pytestmark = pytest.mark.deployment


def assert_same(run: Run, folder: Path, model: Path, images: Sequence[Path], target: Any) -> None:
    """Lines and files of the program against the Python engine's explanations of the same images."""
    explainer = Explainer(model)
    wanted = explainer([read_ppm(path) for path in images], target)
    lines = [line.split("\t") for line in run.stdout.splitlines()]
    assert len(lines) == len(wanted)
    layers, peaks = explainer.record["layers"], []
    for (name, index, label, score, *layer), one in zip(lines, wanted, strict=True):
        assert name in map(str, images)
        assert (int(index), label) == (one.target, one.label or "-")
        assert float(score) == pytest.approx(one.score, rel=1e-4, abs=1e-5)
        assert layer == ([one.layer] if len(layers) > 1 else [])
        at = f"_layer{layers.index(layer[0])}" if layer else ""
        base = str(folder / f"{Path(name).stem}_{index}{at}")
        heatmap = np.load(f"{base}.npy")
        assert (heatmap.dtype, heatmap.shape) == (np.float32, one.image.shape[:2])
        assert np.abs(heatmap - one.heatmap).max() < 1e-5
        peaks.append(np.abs(heatmap).max())
        grey = cv2.imread(f"{base}.pgm", cv2.IMREAD_UNCHANGED)
        assert np.abs(grey - 65535.0 * np.abs(heatmap).clip(0, 1)).max() <= 0.51
        # A heat at the border of two of the 256 colours may fall to either side.
        expected = one.picture() if one.colours is None else saliency(one.heatmap)
        picture = read_ppm(Path(f"{base}.ppm")).astype(int)
        assert np.abs(picture - expected).max() <= 8
        assert np.mean(picture != expected) < 1e-3
    assert max(peaks) > 0.5  # there are maps to compare


def test_the_embedded_model_gives_pythons_heatmaps(
    program: Program, explained: Path, ppm: Path, tmp_path: Path
) -> None:
    run = program(explained, ppm, "--target", "top3", "--target", "207", "-o", tmp_path, "--npy")
    assert run.stdout.startswith(f"{ppm}\t285\tEgyptian cat\t10.53")
    assert_same(run, tmp_path, explained, [ppm], ["top3", 207])


def test_several_images_on_several_threads(program: Program, explained: Path, ppm: Path, tmp_path: Path) -> None:
    image = read_ppm(ppm)
    views = [image, image[:, ::-1], image[40:264, 100:324], image[::2, ::2], np.repeat(image, 2, axis=0)]
    images = [write_ppm(tmp_path / f"view{i}.ppm", np.ascontiguousarray(view)) for i, view in enumerate(views)]
    run = program(explained, *images, "--target", "top2", "--threads", 3, "-o", tmp_path, "--npy")
    assert [line.split("\t")[0] for line in run.stdout.splitlines()[::2]] == list(map(str, images))
    assert_same(run, tmp_path, explained, images, "top2")


@pytest.mark.parametrize(
    ("model", "preprocess"),
    [
        (small_cnn(size=(24, 24)), "imagenet,size=24x24,resize=31"),
        (small_cnn(size=(24, 24)), "caffe,size=24x24,resize=none,scale=1/255"),
        (small_cnn(size=(24, 40)), "tf,channels=BGR"),
        (small_cnn(size=("H", "W")), "raw,scale=1/255"),
        (small_cnn(size=("H", "W")), "imagenet,size=160x96,resize=170"),
        (small_cnn(batch=1, size=(24, 24)), "tf"),
        (cast_cnn(TensorProto.FLOAT, layout="NHWC"), "raw,channels=BGR,layout=NHWC"),
        (cast_cnn(TensorProto.UINT8), "uint8"),
        (cast_cnn(TensorProto.UINT8, 1, "NHWC"), "uint8,channels=GRAY,layout=NHWC"),
        (cast_cnn(TensorProto.FLOAT16), "raw,mean=100/110/120,std=2"),
        (cast_cnn(TensorProto.DOUBLE), "imagenet,size=24x24,resize=30,dtype=float64"),
    ],
    ids=lambda value: value.replace(",", " ") if isinstance(value, str) else "",
)
def test_every_form_of_preprocessing(
    program: Program, ppm: Path, tmp_path: Path, model: onnx.ModelProto, preprocess: str
) -> None:
    path = save(onnxplain.rewrite(model), tmp_path / "model.onnx", preprocess)
    run = program(path, ppm, "--target", "top5", "-o", tmp_path, "--npy")
    assert_same(run, tmp_path, path, [ppm], "top5")


@pytest.mark.parametrize("factor", [2, 3, 0.4])
def test_sides_that_shrink_evenly_or_grow(program: Program, ppm: Path, tmp_path: Path, factor: float) -> None:
    side = round(24 * factor)
    image = write_ppm(tmp_path / "view.ppm", np.ascontiguousarray(read_ppm(ppm)[100 : 100 + side, 200 : 200 + side]))
    path = small(tmp_path / "model.onnx")
    run = program(path, image, "--target", "top5", "-o", tmp_path, "--npy")
    assert_same(run, tmp_path, path, [image], "top5")


@pytest.mark.parametrize(
    "options",
    [
        {"method": "gradient"},
        {"method": "guided-grad-cam", "layers": ["relu1", "relu2"]},
        {"layers": "all"},
        {"options": {"relu": False}},
    ],
    ids=str,
)
def test_methods_layers_and_signed_maps(program: Program, ppm: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    path = small(tmp_path / "model.onnx", **options)
    run = program(path, ppm, "--target", 1, "--target", "top2", "-o", tmp_path, "--npy")
    assert_same(run, tmp_path, path, [ppm], [1, "top2"])


def test_score_and_heatmap_are_enough(plain: Program, ppm: Path, tmp_path: Path) -> None:
    run = plain(small(tmp_path / "model.onnx"), ppm)
    assert plain(small(tmp_path / "lean.onnx", outputs=["score", "heatmap"]), ppm).stdout == run.stdout


def test_classes_that_the_file_does_not_rank_go_by_their_place(program: Program, ppm: Path, tmp_path: Path) -> None:
    path = small(tmp_path / "model.onnx", score="logits[:, 1:]", labels=list("abcde"))
    line = program(path, ppm, "-o", tmp_path).stdout
    assert re.fullmatch(rf"{re.escape(str(ppm))}\ttop1\t-\t\S+\n", line)
    assert (tmp_path / "chelsea_top1.ppm").is_file()


def test_images_of_the_same_name_do_not_overwrite_each_other(plain: Program, ppm: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_ppm(tmp_path / "other" / "chelsea.ppm", read_ppm(ppm)[::-1])
    plain(small(tmp_path / "model.onnx"), ppm, other, "--target", 0, "-o", tmp_path)
    first, second = (read_ppm(tmp_path / f"{stem}_0.ppm") for stem in ("chelsea", "chelsea-2"))
    assert (first != second).any()


def test_a_thousand_requests_on_four_threads_take_no_more_memory(plain: Program, explained: Path, ppm: Path) -> None:
    run = plain(explained, ppm, "--threads", 4, "--repeat", 1000)
    told = re.search(r"1000 requests on 4 threads .* 0 failed; memory (\d+) kB half-way, (\d+) kB", run.stderr)
    assert told, run.stderr
    half_way, end = map(int, told.groups())
    assert end - half_way < 2048  # one heatmap leaked a request would be 264,000 kB


def test_threads_do_not_race(tmp_path: Path, ppm: Path) -> None:
    watched = build(tmp_path / "build", "thread")
    run = watched(small(tmp_path / "model.onnx"), *[ppm] * 8, "--threads", 4, "--repeat", 5, "-o", tmp_path)
    assert len(run.stdout.splitlines()) == 8
    assert "40 requests on 4 threads" in run.stderr
