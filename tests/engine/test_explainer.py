"""The explainer, on the embedded model and on small ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxplain
import pytest
from onnxplain import Explainer, OnnxplainError, UsageError

PHOTO = Path(__file__).parents[2] / "exported_models" / "efficientnet_lite0" / "chelsea.png"
FIXED = """
<ir_version: 8, opset_import: ["": 17]>
fixed (uint8[2, 4, 6, 3] image) => (float[2, 3] scores)
<float[3, 3, 1, 1] kernel = {0.5, 0.1, -0.2, -0.3, 0.2, 0.4, 0.3, 0.3, -0.5}>
{
    pixels = Cast <to = 1> (image)
    planes = Transpose <perm = [0, 3, 1, 2]> (pixels)
    maps = Conv (planes, kernel)
    features = Relu (maps)
    pooled = GlobalAveragePool (features)
    scores = Flatten (pooled)
}
"""


@pytest.fixture(scope="module")
def cat(efficientnet: Path) -> Explainer:
    return Explainer(efficientnet)


def test_the_embedded_photo_is_an_egyptian_cat(cat: Explainer) -> None:
    (explanation,) = cat(PHOTO)
    assert (explanation.target, explanation.label) == (285, "Egyptian cat")
    assert explanation.logits is not None
    assert explanation.score == pytest.approx(float(explanation.logits[285]), rel=1e-6)
    assert explanation.probability == pytest.approx(0.781, abs=0.001)
    assert explanation.heatmap.shape == (300, 451)
    assert explanation.heatmap.dtype == np.float32
    assert explanation.cam.shape == (7, 7)
    # The heatmap is the map, upsampled to the photo: its maximum lies in the map's largest cell, or beside it.
    row, column = np.unravel_index(explanation.heatmap.argmax(), (300, 451))
    top, left = np.unravel_index(explanation.cam.argmax(), (7, 7))
    assert abs((row + 0.5) / 300 * 7 - (top + 0.5)) < 1
    assert abs((column + 0.5) / 451 * 7 - (left + 0.5)) < 1


def test_the_map_is_the_recorded_one(cat: Explainer, reference: dict[str, np.ndarray]) -> None:
    results = cat.run({"image": reference["image"]}, reference["classes"])
    expected = reference["grad_cam"]
    np.testing.assert_allclose(results["cam"][0], expected, atol=1e-5 * expected.max())
    assert results["score"].shape == (1, 3)


def test_several_images_and_targets_come_image_by_image(cat: Explainer) -> None:
    image = cv2.cvtColor(cv2.imread(str(PHOTO)), cv2.COLOR_BGR2RGB)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    four = cat([image, mirrored], ["Egyptian cat", "top1"])
    assert [e.target for e in four][:2] == [285, 285]
    alone = cat(mirrored, 285)[0]
    assert four[2].score == pytest.approx(alone.score, rel=1e-4)
    np.testing.assert_allclose(four[2].heatmap, alone.heatmap, atol=1e-3)
    assert four[0].source is None


def test_overlay_and_save(cat: Explainer, tmp_path: Path) -> None:
    (explanation,) = cat(PHOTO)
    explanation.save(tmp_path / "a.png")
    explanation.save(tmp_path / "a.npy")
    read = cv2.cvtColor(cv2.imread(str(tmp_path / "a.png")), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(read, explanation.overlay())
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), explanation.heatmap)
    with pytest.raises(OnnxplainError):
        explanation.save(tmp_path / "missing" / "a.png")


def test_a_fixed_batch_of_bytes_laid_out_nhwc() -> None:
    explain = Explainer(onnx.parser.parse_model(FIXED))
    assert (explain.preprocess.layout, explain.preprocess.dtype, explain.preprocess.size) == ("NHWC", "uint8", (4, 6))
    images = [np.full((4, 6, 3), shade, np.uint8) for shade in (10, 20, 30)]
    found = explain(images, ["top1", 2])
    assert len(found) == 6
    # Class k's score is the mean of ReLU(kernel_k . rgb): 0.4, 0.3 and 0.1 of a grey pixel.
    assert [round(e.score, 4) for e in found] == [4, 1, 8, 2, 12, 3]
    assert [e.target for e in found] == [0, 2] * 3
    np.testing.assert_allclose(found[0].heatmap, np.ones((4, 6)), atol=1e-6)


def test_labels_must_fit(efficientnet: Path) -> None:
    with pytest.raises(UsageError, match="2 labels for a model of 1000"):
        Explainer(efficientnet, labels=["a", "b"])


def test_preprocessing_must_fit(efficientnet: Path) -> None:
    with pytest.raises(UsageError, match="224x224"):
        Explainer(efficientnet, preprocess="imagenet,size=200x200")
    with pytest.raises(UsageError, match="channels"):
        Explainer(efficientnet, preprocess="raw,channels=GRAY")


def test_an_explained_model_is_run_as_it_is(efficientnet: Path, cat: Explainer) -> None:
    explained = onnxplain.rewrite(efficientnet)
    explain = Explainer(explained)
    np.testing.assert_allclose(explain(PHOTO)[0].heatmap, cat(PHOTO)[0].heatmap, atol=1e-6)
    with pytest.raises(UsageError, match="explained already"):
        Explainer(explained, layers="/blocks.10/Add_output_0")


@pytest.mark.parametrize(
    ("options", "outputs"),
    [
        ({}, ["score", "heatmap"]),
        ({}, ["score", "cam"]),
        ({}, ["score", "heatmap", "input_gradient"]),
        ({"options": {"relu": False}}, ["score", "cam"]),
        ({"layers": ["/blocks.10/Add_output_0", "/head/relu6/Clip_output_0"]}, ["score", "cam"]),
        ({"method": "gradient"}, ["score", "heatmap"]),
        ({"method": "guided-grad-cam"}, ["score", "heatmap"]),
        ({"method": "full-grad"}, ["score", "heatmap"]),
    ],
    ids=str,
)
def test_a_lean_file_gives_the_same_heatmaps(efficientnet: Path, options: dict[str, Any], outputs: list[str]) -> None:
    full = Explainer(onnxplain.rewrite(efficientnet, **options))(PHOTO, "top2")
    lean = Explainer(onnxplain.rewrite(efficientnet, **options, outputs=outputs))(PHOTO, "top2")
    for one, other in zip(lean, full, strict=True):
        np.testing.assert_allclose(one.heatmap, other.heatmap, atol=2e-6)
        assert (one.layer, one.target, one.is_pixelwise) == (other.layer, other.target, other.is_pixelwise)
        if "cam" in outputs:
            np.testing.assert_array_equal(one.cam, other.cam)
        else:
            assert one.cam is None
        assert np.abs(one.heatmap).max() > 0.5
        assert one.picture().shape == one.image.shape


def test_a_file_that_lacks_the_score_or_every_map_is_refused(efficientnet: Path) -> None:
    for outputs, missing in ((["cam"], "score"), (["heatmap"], "score"), (["score", "activation"], "heatmap")):
        with pytest.raises(UsageError, match=rf"lacks the outputs \['{missing}'\]"):
            Explainer(onnxplain.rewrite(efficientnet, outputs=outputs))
    with pytest.raises(UsageError, match=r"lacks the outputs \['heatmap'\]"):
        Explainer(onnxplain.rewrite(efficientnet, method="gradient", outputs=["score", "input_gradient"]))


def test_an_overflowing_model_is_refused() -> None:
    model = onnx.parser.parse_model(FIXED.replace("features = Relu (maps)", "features = Exp (maps)"))
    with pytest.raises(OnnxplainError, match="not finite"):
        Explainer(model)(np.full((4, 6, 3), 255, np.uint8), 0)
