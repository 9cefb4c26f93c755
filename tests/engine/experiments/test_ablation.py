from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxplain import Explainer, rewrite
from onnxplain.engine.datasets.annotation import AnnotatedObject
from onnxplain.engine.evaluation.measures.boxes import localises
from onnxplain.engine.evaluation.measures.pointing import energy_inside, pointing
from onnxplain.engine.experiments.ablation import ABLATIONS, Case, ablate, ablations
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError

from ...graph_rewrites.networks import residual_cnn, small_cnn

RNG = np.random.default_rng(0)
PHOTOS = [RNG.integers(0, 256, (8, 8, 3), np.uint8) for _ in range(3)]
REGION = np.zeros((8, 8), np.bool_)
REGION[2:5, 1:7] = True
RAW = {"preprocess": "raw,scale=1/255"}


@pytest.fixture
def model() -> onnx.ModelProto:
    return residual_cnn()


def test_each_change_is_what_its_name_says(model: onnx.ModelProto) -> None:
    """From the activations and gradients themselves, at a layer that a ReLU follows."""
    found = ablate(ablations(model, layers="stem", **RAW), [Case(PHOTOS[0], 3)]).drawn[0]
    assert list(found) == list(ABLATIONS)
    pixels = PHOTOS[0].transpose(2, 0, 1)[None].astype(np.float32) / 255
    maps = {}
    for rules in ("standard", "deconvnet", "guided"):
        outputs = Explainer(explained(model, rules), preprocess="raw,scale=1/255").run({"image": pixels}, 3)
        maps[rules] = outputs["activation"][0].astype(np.float64), outputs["gradient"][0, 0].astype(np.float64)
    activation, gradient = maps["standard"]
    weights = {
        "Grad-CAM": gradient.mean((1, 2)),
        "absolute gradients": np.abs(gradient).mean((1, 2)),
        "global max pooling": gradient.max((1, 2)),
        "deconv ReLU": maps["deconvnet"][1].mean((1, 2)),
        "guided ReLU": maps["guided"][1].mean((1, 2)),
    }
    for name, alpha in weights.items():
        expected = np.maximum((alpha[:, None, None] * activation).sum(0), 0)
        np.testing.assert_allclose(found[name].cam, expected, rtol=1e-4, atol=1e-6, err_msg=name)
    signed = (weights["Grad-CAM"][:, None, None] * activation).sum(0)
    np.testing.assert_allclose(found["without ReLU"].cam, signed, rtol=1e-4, atol=1e-6)


def explained(model: onnx.ModelProto, rules: str) -> onnx.ModelProto:
    return rewrite(model, layers="stem", rules=rules, outputs=("score", "cam", "activation", "gradient"))


def test_measures_are_means_over_the_cases_whose_objects_are_known(model: onnx.ModelProto) -> None:
    explainers = ablations(model, layers="stem", **RAW)
    objects = [
        (AnnotatedObject("a", mask=REGION),),
        (AnnotatedObject("b", (0, 0, 3, 4)), AnnotatedObject("b", (5, 2, 8, 8))),
    ]
    masks = [REGION, np.zeros((8, 8), np.bool_)]
    masks[1][:4, :3] = masks[1][2:, 5:] = True
    boxes = [[(1, 2, 7, 5)], [(0, 0, 3, 4), (5, 2, 8, 8)]]
    cases = [Case(PHOTOS[0], 3, objects[0]), Case(PHOTOS[1], 0, objects[1]), Case(PHOTOS[2], 1)]
    found = ablate(explainers, cases, draw=2)
    assert len(found.drawn) == found.count == 2
    for name, change in ABLATIONS.items():
        explainer = Explainer(model, layers="stem", rules=change.rules, options=change.options, **RAW)
        maps = [explainer(case.source, case.target)[0].heatmap for case in cases[:2]]
        assert found.means()[name] == {
            "localisation error": np.mean([not localises(*each) for each in zip(maps, boxes, strict=True)]),
            "hits": np.mean([pointing(*each, 15) for each in zip(maps, masks, strict=True)]),
            "energy inside": np.mean([energy_inside(*each) for each in zip(maps, masks, strict=True)]),
        }


def test_of_several_targets_the_one_of_the_highest_score_is_judged(model: onnx.ModelProto) -> None:
    explainers = ablations(model, **RAW)
    scores = {target: explainers["Grad-CAM"](PHOTOS[0], target)[0].score for target in (0, 2, 4)}
    found = ablate(explainers, [Case(PHOTOS[0], (0, 2, 4), (AnnotatedObject("a", mask=REGION),))])
    assert [one["Grad-CAM"].target for one in found.drawn] == [max(scores, key=lambda target: scores[target])]
    several = ablations(model, layers="all", **RAW)
    with pytest.raises(UsageError, match="measured at one layer, not at 3"):
        ablate(several, [Case(PHOTOS[0], 0, (AnnotatedObject("a", mask=REGION),))])


def test_rules_that_would_change_nothing_are_left_out_and_said(model: onnx.ModelProto) -> None:
    told: list[str] = []
    explainers = ablations(small_cnn(), told.append, **RAW)
    assert list(explainers) == list(ABLATIONS)[:4]
    assert [text.split(":")[0] for text in told] == ["deconv ReLU", "guided ReLU"]
    assert all("would change nothing" in text for text in told)
    with pytest.raises(UsageError, match="no layer 'stemm'"):
        ablations(model, told.append, layers="stemm", **RAW)


def test_images_that_cannot_be_read_are_left_out_and_told(model: onnx.ModelProto, tmp_path: Path) -> None:
    explainers, failures = ablations(model, **RAW), list[OnnxplainError]()
    missing = Case(tmp_path / "missing.png")
    found = ablate(explainers, [missing, Case(PHOTOS[0], [0, 1])], on_error=failures.append)
    assert [len(found.drawn), len(failures), found.count] == [2, 1, 0]
    with pytest.raises(OnnxplainError, match="cannot be read"):
        ablate(explainers, [missing])
    with pytest.raises(OnnxplainError, match="no image could be explained"):
        ablate(explainers, [missing], on_error=failures.append)


def test_the_picture_has_a_row_for_each_case_and_a_column_for_each_change(model: onnx.ModelProto) -> None:
    found = ablate(ablations(model, layers="stem", **RAW), [Case(photo, 2) for photo in PHOTOS] * 3, draw=8)
    picture = found.picture()
    assert picture.shape[0] > 8 * 224
    assert picture.shape[1] > 7 * 224
