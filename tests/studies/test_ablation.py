from __future__ import annotations

from onnxplain.engine.experiments.ablation import Ablated

from studies.ablation import MEASURES, at_layer, lines
from studies.regions import shown


def test_the_error_is_that_at_the_best_threshold() -> None:
    values = {"hits": 1.0, "energy inside": 0.125, "error at 0.15": 1.0, "error at 0.5": 0.5}
    other = {"hits": 0.0, "energy inside": 0.375, "error at 0.15": 0.0, "error at 0.5": 0.0}
    assert lines(Ablated(["a"], {"a": [values, other]})) == [["a", "50.0", "25.0", "25.0"]]


def test_each_class_of_each_scene_is_measured() -> None:
    scenes = list(shown(2))
    found = at_layer(None, scenes)
    assert found.count == sum(len(each.masks) for each in scenes)
    assert list(found.means()["Grad-CAM"]) == list(MEASURES)
    assert found.names == ["Grad-CAM", "without ReLU", "absolute gradients", "global max pooling"]
