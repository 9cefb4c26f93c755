"""The report's file: whole, self-contained and escaped; every value it holds is the heatmap's."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnxplain import Explainer, OnnxplainError, UsageError, rewrite
from onnxplain.engine.images.files import read_image, write_image
from onnxplain.engine.images.resample import upsampled
from onnxplain.engine.render.report.encode import PIXEL_PRECISION, PRECISION
from onnxplain.engine.render.report.report import Report, write_report

from ....graph_rewrites.networks import small_cnn

ARGUMENTS: dict[str, Any] = {"preprocess": "raw,scale=1/255"}
NASTY = "</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """What a browser would find: elements, and the data blocks by id."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: dict[str, Any] = {}
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self.elements[-1] if self.elements else ("", {})
        if tag == "script" and attributes.get("type") == "application/json" and data.strip():
            self.blocks.setdefault(str(attributes["id"]), json.loads(data))

    @property
    def images(self) -> list[dict[str, Any]]:
        count = sum(name.startswith("image-") for name in self.blocks)
        return [self.blocks[f"image-{index}"] for index in range(count)]


def unpacked(block: dict[str, Any]) -> np.ndarray:
    dtype = {"Uint8Array": "<u1", "Uint16Array": "<u2", "Int16Array": "<i2"}[block["type"]]
    codes = np.frombuffer(zlib.decompress(base64.b64decode(block["data"])), dtype)
    return np.asarray(codes.reshape(block["shape"]) * block["step"])


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / "photos" / name for name in ("a.png", "sub/a.png", "Ägypten 猫.png")]
    for path in paths:
        path.parent.mkdir(exist_ok=True, parents=True)
        write_image(path, rng.integers(0, 256, (12, 20, 3), np.uint8))
    return paths


@pytest.fixture
def model(tmp_path: Path) -> Path:
    onnx.save(small_cnn(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def written(model: Path, photos: list[Path], **arguments: Any) -> tuple[Report, Page]:
    output = photos[0].parent.parent / "report.html"
    report = write_report(model, photos, output, **{**ARGUMENTS, **arguments})
    return report, Page(output)


def test_each_image_has_its_maps_predictions_and_a_name_of_its_own(model: Path, photos: list[Path]) -> None:
    report, page = written(model, photos, methods=["grad-cam", "guided-backprop"], layers=["relu1", "relu2"])
    assert [image["name"] for image in page.images] == ["a.png", "sub/a.png", "Ägypten 猫.png"]
    assert [image["maps"] for image in report.images] == [15, 15, 15]
    assert not report.failures
    for image, path in zip(page.images, photos, strict=True):
        (first, *_) = Explainer(model, **ARGUMENTS)(path)
        assert first.logits is not None
        order = np.argsort(-first.logits)
        assert [one["target"] for one in image["predictions"]] == order[:5].tolist()
        np.testing.assert_allclose([one["score"] for one in image["predictions"]], first.logits[order][:5], rtol=1e-6)
        assert sum(one["share"] for one in image["predictions"]) == pytest.approx(1)
        found = {(one["method"], one["layer"], one["target"]) for one in image["maps"]}
        top = order[:3].tolist()
        maps = {
            (name, layer, c) for name in ("grad-cam", "counterfactual") for layer in ("relu1", "relu2") for c in top
        }
        assert found == maps | {("guided-backprop", None, target) for target in top}


@pytest.mark.parametrize(
    "method", ["grad-cam", "c-mwp", "guided-backprop", "gradient", "occlusion", "rise", "full-grad"]
)
def test_the_stored_values_give_the_heatmap(model: Path, photos: list[Path], method: str) -> None:
    _, page = written(model, photos[:1], methods=[method], target=[2])
    (expected,) = Explainer(model, method=method, **ARGUMENTS)(photos[0], 2)
    block = next(one for one in page.images[0]["maps"] if one["method"] == method)
    got = upsampled(unpacked(block), expected.input_heatmap.shape)
    assert np.abs(got - expected.input_heatmap).max() <= PRECISION
    assert block["type"].startswith("Int") == bool(expected.heatmap.min() < 0)


def test_pixels_of_a_large_input_are_stored_to_half_a_step_of_255(efficientnet: Path, tmp_path: Path) -> None:
    photo = efficientnet.parent / "chelsea.png"
    write_report(efficientnet, [photo], tmp_path / "r.html", methods=["gradient"], target=["top1"])
    block = next(one for one in Page(tmp_path / "r.html").images[0]["maps"] if one["method"] == "gradient")
    (expected,) = Explainer(efficientnet, method="gradient")(photo)
    assert (block["type"], block["shape"]) == ("Uint8Array", [224, 224])
    assert np.abs(unpacked(block) - expected.input_heatmap).max() <= PIXEL_PRECISION + 1e-7


def test_nothing_is_fetched_and_nothing_is_executed_but_the_page_s_own_script(model: Path, photos: list[Path]) -> None:
    nasty = photos[0].with_name("<b>&\"'.png")
    write_image(nasty, read_image(photos[0]))
    _, page = written(model, [*photos, nasty], labels=[NASTY, "b", "c", "d", "e"], target=[0])
    text = (photos[0].parent.parent / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//cdn|@import|url\(", text)
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "object", "embed", "b")]
    assert len([1 for tag, attributes in page.elements if tag == "script" and "type" not in attributes]) == 1
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "src" not in attributes, tag
    assert page.images[3]["name"] == nasty.name
    assert NASTY in {one["label"] for image in page.images for one in image["predictions"]}


def test_images_that_fail_are_named_and_the_others_are_there(model: Path, photos: list[Path]) -> None:
    broken = photos[0].with_name("broken.png")
    broken.write_bytes(b"no picture")
    report, page = written(model, [broken, *photos])
    assert len(page.images) == 3
    (failure,) = report.failures
    assert str(failure).startswith(f"{broken}: not a JPEG")
    assert f"{broken}: not a JPEG" in (photos[0].parent.parent / "report.html").read_text(encoding="utf-8")


def test_a_map_that_is_not_finite_leaves_out_its_image_alone(tmp_path: Path, photos: list[Path]) -> None:
    # The root of the mean of channel 0: its slope is infinite for the one image without any red.
    text = """
    <ir_version: 8, opset_import: ["": 17]>
    fragile (float[N, 3, 12, 20] image) => (float[N, 3] scores)
    <float[3, 3, 1, 1] kernel = {1, 0, 0, 0, 1, 0, 0, 0, 1}>
    {
        maps = Conv (image, kernel)
        mean = GlobalAveragePool (maps)
        vector = Flatten (mean)
        scores = Sqrt (vector)
    }
    """
    onnx.save(onnx.parser.parse_model(text), tmp_path / "fragile.onnx")
    write_image(photos[1], np.full((12, 20, 3), (0, 7, 9), np.uint8))
    report, page = written(tmp_path / "fragile.onnx", photos, preprocess="raw", target=[0], layers="maps")
    assert [image["name"] for image in page.images] == ["a.png", "Ägypten 猫.png"]
    (failure,) = report.failures
    assert re.fullmatch(rf"{re.escape(str(photos[1]))}: grad-cam, counterfactual: .* is not finite; .*", str(failure))


def test_a_method_that_the_model_does_not_allow_is_left_out_with_its_reason(tmp_path: Path, photos: list[Path]) -> None:
    text = """
    <ir_version: 8, opset_import: ["": 17]>
    plain (float[N, 3, 12, 20] image) => (float[N, 1] scores)
    <float[1, 3, 1, 1] kernel = {1, 0.5, -1}>
    {
        maps = Conv (image, kernel)
        mean = GlobalAveragePool (maps)
        logit = Flatten (mean)
        scores = Sigmoid (logit)
    }
    """
    onnx.save(onnx.parser.parse_model(text), tmp_path / "plain.onnx")
    report, page = written(tmp_path / "plain.onnx", photos, methods=["guided-backprop", "grad-cam"])
    (failure,) = report.failures
    assert str(failure).startswith("guided-backprop: ")
    assert page.blocks["settings"]["methods"] == ["grad-cam"]
    (only,) = page.images[0]["predictions"]  # one class: its sigmoid
    assert only["share"] == pytest.approx(1 / (1 + np.exp(-only["score"])))
    assert (only["name"], page.images[0]["shareName"]) == ("class 0", "sigmoid")
    with pytest.raises(OnnxplainError, match="no method explains this model; guided-backprop: "):
        written(tmp_path / "plain.onnx", photos, methods=["guided-backprop"])


def test_an_explained_model_is_reported_with_what_it_holds(tmp_path: Path, photos: list[Path]) -> None:
    onnx.save(rewrite(small_cnn(squash="Softmax"), method="layer-cam"), tmp_path / "explained.onnx")
    report, page = written(tmp_path / "explained.onnx", photos)
    assert page.blocks["settings"]["methods"] == ["layer-cam"]
    assert {one["method"] for one in page.images[0]["maps"]} == {"layer-cam"}
    assert page.images[0]["predictions"][0]["share"] is None  # the file gives no logits
    assert not report.failures
    assert [note for note in report.notes if note.startswith("no counterfactual maps: the model is explained already")]


def test_odd_images(model: Path, tmp_path: Path) -> None:
    shapes = {"one.png": (1, 1), "grey.png": (9, 9), "large.png": (2000, 3000), "strip.png": (2, 900)}
    for name, (height, width) in shapes.items():
        picture = np.full((height, width, 3), 90, np.uint8)
        write_image(tmp_path / name, picture[..., 0] if name == "grey.png" else picture)
    report, page = written(model, [tmp_path / name for name in shapes], preprocess="raw,size=8x8,fit=crop")
    assert not report.failures
    assert [tuple(image["size"]) for image in page.images] == list(shapes.values())
    assert [image["photoSize"] for image in page.images] == [[1, 1], [9, 9], [427, 640], [1, 640]]
    (left, top, width, height) = page.images[2]["window"]
    assert (left, top, width, height) == pytest.approx((500, 0, 2000, 2000))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": ["grad_cam"]}, "did you mean 'grad-cam'"),
        ({"target": ["top9"]}, "asks for more classes"),
        ({"target": ["cat"]}, "is a label"),
        ({"layers": ["relu7"]}, "relu7"),
        ({"inputs": {"mask": np.zeros(3)}}, "mask"),
    ],
)
def test_wrong_usage_is_refused_and_writes_nothing(
    model: Path, photos: list[Path], arguments: dict[str, Any], message: str
) -> None:
    folder = photos[0].parent.parent
    before = sorted(folder.iterdir())
    with pytest.raises(UsageError, match=message):
        written(model, photos, **arguments)
    assert sorted(folder.iterdir()) == before


def test_other_names_and_folders_are_refused(model: Path, photos: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"r\.pdf: a report is an HTML page"):
        write_report(model, photos, tmp_path / "r.pdf", **ARGUMENTS)
    with pytest.raises(OnnxplainError, match="cannot be written"):
        write_report(model, photos, tmp_path / "missing" / "r.html", **ARGUMENTS)
