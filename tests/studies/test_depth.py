from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxplain import Explainer
from onnxplain.engine.evaluation.measures.pointing import energy_inside, pointing
from onnxplain.engine.runtime.session import Session
from onnxplain.graph_rewrites.targets.blocks import residual_blocks

from studies.ablation import cases
from studies.depth import baselines, by_depth, judged
from studies.regions import CLASSIFIER, TOLERANCE, Shown, shown
from studies.residual import deep
from studies.residual.classes import CLASSES
from studies.scenes import scene


def square(top: int, left: int) -> np.ndarray:
    mask = np.zeros((96, 96), np.bool_)
    mask[top : top + 16, left : left + 16] = True
    return mask


def test_scenes_have_several_classes_and_the_objects_of_each() -> None:
    found = list(shown(5))
    again = list(shown(5))
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert len(one.masks) > 1
        assert set(one.masks) <= set(CLASSES)
        for name, region in one.regions.items():
            np.testing.assert_array_equal(region, np.any([each.region((96, 96)) for each in one.objects(name)], axis=0))
        assert not np.logical_and.reduce(list(one.regions.values())).any()
    assert [case.target for case in cases(found[:1])] == list(found[0].masks)


def test_layers_are_judged_by_the_mean_over_classes_and_scenes() -> None:
    explainer = Explainer(CLASSIFIER, layers=[layer.name for layer in residual_blocks(CLASSIFIER)])
    scenes = list(shown(2))
    last = by_depth(explainer, scenes)[-1]
    alone = Explainer(CLASSIFIER)
    maps = [(alone(s.image, name)[0].heatmap, mask) for s in scenes for name, mask in s.regions.items()]
    assert last.layer == alone.record["layers"][0]
    assert last.size == "12 x 12"
    assert last.hits == pytest.approx(np.mean([pointing(*each, TOLERANCE) for each in maps]))
    assert last.inside == pytest.approx(np.mean([energy_inside(*each) for each in maps]), abs=1e-5)


def test_baselines_are_the_middle_and_the_share_of_the_area() -> None:
    image = np.zeros((96, 96, 3), np.uint8)
    found = baselines([Shown(image, {"circle": [square(40, 40)], "square": [square(0, 0), square(60, 60)]})])
    centre, uniform = found
    assert (centre.layer, centre.hits) == ("centre", 0.5)
    assert (uniform.layer, uniform.inside) == ("uniform", pytest.approx((1 + 2) / 2 * 16**2 / 96**2))
    assert uniform.right == pytest.approx((1 / 3 + 2 / 3) / 2)


def test_the_heat_on_objects_is_shared_among_classes() -> None:
    heat = 1.0 * square(0, 0) + 3.0 * square(40, 40) + 4.0 * square(80, 80)
    hits, inside, right = judged(heat, square(40, 40), square(0, 0) | square(40, 40))
    assert (hits, inside, right) == (0, 3 / 8, 3 / 4)
    assert judged(square(80, 80) * 1.0, square(0, 0), square(0, 0) | square(40, 40)) == (0, 0, 0)


def test_the_classifier_knows_shapes() -> None:
    """Of new scenes of one object; it is right on every one of 1000, says its model card."""
    model = onnx.load(CLASSIFIER)
    assert not [node.name for node in model.graph.node if node.metadata_props or node.doc_string]
    explainer = Explainer(CLASSIFIER)
    assert explainer.labels == list(CLASSES)
    assert not explainer.preprocess_is_assumed
    rng = np.random.default_rng(7)
    scenes = [each for each in (scene(rng) for _ in range(40)) if len(each.objects) == 1]
    assert len(scenes) > 5
    assert [explainer(each.image)[0].label for each in scenes] == [each.objects[0].shape for each in scenes]


def test_the_deep_network_has_its_layers_and_stays_in_range(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 3 * sum(deep.BLOCKS) + 2 == 200
    monkeypatch.setattr(deep, "BLOCKS", (1, 2, 3, 1))
    model = deep.resnet200()
    onnx.checker.check_model(model, full_check=True)
    assert len(residual_blocks(model)) == 7
    weighted = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(weighted) == 3 * 7 + 2 + 4  # and the projections of the shortcuts
    (logits,) = Session(model).run(None, {"image": np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype("f4")})
    assert 0.1 < logits.std() < 100
