"""examples/node, and what it shares with the page: images, maps and colours as the Python engine makes them."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from onnxplain.engine.embedded import PHOTO
from onnxplain.engine.explainer import Explainer
from onnxplain.engine.images.files import read_image
from onnxplain.engine.images.preprocess import PRESETS, Preprocess
from onnxplain.engine.render.overlays import overlay

from .models import EXAMPLES, EXPLAINED, explained_file, packages_of, write_wrong_files

pytestmark = pytest.mark.deployment

SHARED = EXAMPLES / "web" / "explained_model"
IMAGENET = PRESETS["imagenet"]

FORMS = {
    "squash": Preprocess((224, 224)),
    "of the model's input": Preprocess(),
    "crop": IMAGENET,
    "crop, no margin": replace(IMAGENET, resize=None),
    "crop, oblong": replace(IMAGENET, size=(96, 160), resize=171),
    "BGR, NHWC": replace(PRESETS["caffe"], layout="NHWC"),
    "grey": Preprocess((28, 28), channels="GRAY", scale=1 / 255),
    "float16": replace(IMAGENET, dtype="float16"),
    "float64": replace(IMAGENET, dtype="float64", layout="NHWC"),
    "uint8": Preprocess((64, 48), dtype="uint8", layout="NHWC"),
}
# Height and width: the same, shrunk by whole numbers and others, enlarged, one of each, a pixel, a strip.
SIZES = [(224, 224), (448, 448), (672, 448), (224, 448), (300, 451), (100, 90), (500, 60), (61, 700), (1, 1), (3, 400)]


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("Node is not installed; on Debian: apt install nodejs npm")
    return found


def explain(node: str, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    packages_of("node")
    command = [node, str(EXAMPLES / "node" / "explain.mjs"), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def run_script(node: str, folder: Path, script: str, data: Any = None) -> Any:
    """What a script over the shared module returns, as JSON; `data` is its `data`, files lie in `folder`."""
    lines = [
        'import { readFileSync, writeFileSync } from "node:fs";',
        *(f'import * as {name} from "{SHARED.as_uri()}/{name}.js";' for name in ("contract", "preprocess", "render")),
        f'import {{ INFERNO }} from "{SHARED.as_uri()}/inferno.js";',
        "const data = JSON.parse(readFileSync('data.json'));",
        f"console.log(JSON.stringify((() => {{ {script} }})()));",
    ]
    (folder / "data.json").write_text(json.dumps(data))
    (folder / "script.mjs").write_text("\n".join(lines))
    done = subprocess.run([node, "script.mjs"], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise over smooth colours, as a photo has both."""
    random = np.random.default_rng(seed)
    smooth = cv2.resize(random.integers(0, 256, (3, 4, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    noise = random.integers(-40, 41, (height, width, 3))
    return np.asarray(np.clip(smooth + noise, 0, 255), np.uint8)


@pytest.mark.parametrize("form", FORMS)
def test_images_become_the_input_that_python_makes(node: str, tmp_path: Path, form: str) -> None:
    preprocess = FORMS[form]
    cases = []
    for number, (height, width) in enumerate(SIZES):
        image = picture(height, width, number)
        image.tofile(tmp_path / f"{number}.rgb")
        cases.append({"height": height, "width": width})
    script = """return data.cases.map((shape, number) => {
        const made = preprocess.preprocess(data.wanted, { data: readFileSync(`${number}.rgb`), ...shape });
        writeFileSync(`${number}.out`, made.data);
        return made.dims;
    });"""
    dims = run_script(node, tmp_path, script, {"wanted": preprocess.to_json(), "cases": cases})
    for number, (height, width) in enumerate(SIZES):
        expected = preprocess.apply(picture(height, width, number))
        given = np.fromfile(tmp_path / f"{number}.out", expected.dtype)
        assert dims[number] == list(expected.shape)
        given = given.reshape(expected.shape)
        step = preprocess.scale / min(preprocess.std)
        apart = np.abs(given.astype(float) - expected) / step
        assert apart.max() <= 1.01, (height, width)
        assert (apart > 0.01).mean() <= 0.001, (height, width, (apart > 0.01).mean())


@pytest.mark.parametrize("form", ["squash", "of the model's input", "crop", "crop, no margin", "crop, oblong"])
def test_heatmaps_are_brought_to_the_photo_as_python_does(node: str, tmp_path: Path, form: str) -> None:
    preprocess = FORMS[form]
    sizes = [size for size in SIZES if min(size) > 1]
    shapes = [preprocess.size or size for size in sizes]
    maps = [np.random.default_rng(n).random(shape, np.float32) for n, shape in enumerate(shapes)]
    for number, heatmap in enumerate(maps):
        heatmap.tofile(tmp_path / f"{number}.f32")
    script = """data.sizes.forEach(([height, width], number) => {
        const heat = new Float32Array(new Uint8Array(readFileSync(`${number}.f32`)).buffer);
        const [h, w] = data.shapes[number];
        const source = preprocess.toSource(data.wanted, { data: heat, height: h, width: w }, height, width);
        writeFileSync(`${number}.out`, source.data);
    });
    return null;"""
    run_script(node, tmp_path, script, {"wanted": preprocess.to_json(), "sizes": sizes, "shapes": shapes})
    for number, size in enumerate(sizes):
        given = np.fromfile(tmp_path / f"{number}.out", np.float32).reshape(size)
        np.testing.assert_allclose(given, preprocess.to_source(maps[number], size), atol=1e-4, err_msg=str(size))


def test_colours_are_those_of_python(node: str, tmp_path: Path) -> None:
    image, heat = picture(40, 50), np.random.default_rng(1).random((40, 50), np.float32)
    image.tofile(tmp_path / "image.rgb")
    script = """const shape = { height: 40, width: 50 };
    const image = { data: readFileSync("image.rgb"), ...shape };
    for (const name of ["unsigned", "signed"]) {
        const heat = { data: new Float32Array(new Uint8Array(readFileSync(`${name}.f32`)).buffer), ...shape };
        writeFileSync(`${name}.rgb`, render.overlay(image, heat, 0.7));
    }
    return Array.from(INFERNO);"""
    maps = {"unsigned": heat, "signed": 2 * heat - 1}
    for name, values in maps.items():
        values.tofile(tmp_path / f"{name}.f32")
    inferno = run_script(node, tmp_path, script)
    steps = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_INFERNO)[0, :, ::-1]
    assert np.array_equal(np.reshape(inferno, (256, 3)), steps)
    for name, values in maps.items():
        given = np.fromfile(tmp_path / f"{name}.rgb", np.uint8).reshape(image.shape)
        apart = np.abs(given.astype(int) - overlay(image, values, 0.7))
        assert apart.max() <= 2, name  # a step of inferno, where a value lies between two
        assert (apart > 1).mean() < 0.01, name


@pytest.mark.parametrize("kind", EXPLAINED)
def test_heatmaps_of_a_photo_are_those_of_python(node: str, tmp_path: Path, kind: str) -> None:
    model = explained_file(kind, tmp_path)
    explainer = Explainer(model)
    for target in (None, "1"):
        done = explain(node, tmp_path, model, PHOTO, *([target] if target else []))
        assert done.returncode == 0, done.stderr
        expected = explainer(PHOTO, target=target)[0]
        heatmap = np.fromfile(tmp_path / "heatmap.f32", np.float32).reshape(expected.heatmap.shape)
        np.testing.assert_allclose(heatmap, expected.heatmap, atol=1e-4)
        assert (heatmap.min() < 0) == (kind == "signed" and target is not None)
        written = read_image(tmp_path / "heatmap.png").astype(int)
        assert np.abs(written - expected.overlay()).max() <= 2


def test_top_classes_are_printed_and_a_class_is_found_by_its_label(node: str, tmp_path: Path) -> None:
    model = explained_file("open", tmp_path)
    done = explain(node, tmp_path, model, PHOTO, "tabby, tabby cat")
    top = Explainer(model)(PHOTO, target="top5")
    lines = [f"{100 * (one.probability or 0):5.1f} %  {one.label} ({one.target})" for one in top]
    assert done.stdout.splitlines()[:5] == lines
    assert "explained tabby, tabby cat" in done.stdout


def test_a_photo_that_lies_on_its_side_is_turned_upright(node: str, tmp_path: Path) -> None:
    model, photo = explained_file("open", tmp_path), tmp_path / "turned.jpg"
    _, data = cv2.imencode(".jpg", np.rot90(read_image(PHOTO)[..., ::-1]))
    # EXIF, little endian: one entry, orientation (0x0112), one short, 6: the first row is the right side.
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    block = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    photo.write_bytes(data.tobytes()[:2] + block + data.tobytes()[2:])
    done = explain(node, tmp_path, model, photo)
    assert done.returncode == 0, done.stderr
    expected = Explainer(model)(photo)[0].heatmap
    heatmap = np.fromfile(tmp_path / "heatmap.f32", np.float32)
    assert expected.shape == (300, 451)
    np.testing.assert_allclose(heatmap.reshape(expected.shape), expected, atol=0.02)  # JPEG decoders differ by a step


def test_wrong_files_are_named(node: str, tmp_path: Path) -> None:
    messages = write_wrong_files(tmp_path)
    for name, message in messages.items():
        done = explain(node, tmp_path, tmp_path / name, PHOTO)
        assert done.returncode == 1, name
        assert message in done.stderr, name
        assert len(done.stderr.splitlines()) == 1, name
    assert not (tmp_path / "heatmap.png").exists()


def test_wrong_images_classes_and_usage_are_named(node: str, tmp_path: Path) -> None:
    model = explained_file("open", tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    wrong = {
        "notes.txt": (model, tmp_path / "notes.txt"),
        "missing.png": (model, tmp_path / "missing.png"),
        "no class unicorn": (model, PHOTO, "unicorn"),
        "no class 1000": (model, PHOTO, "1000"),
        "usage: node explain.mjs MODEL IMAGE [CLASS]": (model,),
    }
    for message, arguments in wrong.items():
        done = explain(node, tmp_path, *arguments)
        assert (done.returncode, done.stdout.count("explained")) == (1, 0), message
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
