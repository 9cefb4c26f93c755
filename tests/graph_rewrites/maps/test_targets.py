"""Every method: several classes in one run, several layers in one file, and which outputs it has."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError
from onnxplain.graph_rewrites.maps.registry import METHODS
from onnxplain.graph_rewrites.pipeline.plan import LACKING, OUTPUTS
from onnxplain.graph_rewrites.rewrite import rewrite

from ..messages import assert_one_line
from ..networks import explain, images, names_of, residual_cnn, small_cnn
from .replica import Replica, close, network

# CAM is defined at the last layer alone.
LAYERED = sorted(name for name, how in METHODS.items() if how.at in ("layer", "both") and name != "cam")


def maps_of(method: str) -> list[str]:
    """The outputs that a method has, but those of one value per image."""
    return [name for name in OUTPUTS if name not in (*LACKING[METHODS[method].at], "logits", "activation")]


@pytest.mark.parametrize("model", [network(), residual_cnn()], ids=["plain", "residual"])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_several_classes_in_one_run_equal_single_runs(method: str, model: onnx.ModelProto) -> None:
    explained = rewrite(model, method=method, outputs=maps_of(method))
    feeds, target = images(model, 3), np.array([[0, -1, 3], [4, 2, -2], [1, 1, 0]])
    together = explain(explained, feeds, target)
    for k in range(3):
        alone = explain(explained, feeds, target[:, k : k + 1])
        for name in maps_of(method):
            close(together[name][:, k], alone[name][:, 0], name)
    for n in range(3):
        alone = explain(explained, {"image": feeds["image"][n : n + 1]}, target[n : n + 1])
        for name in maps_of(method):
            close(together[name][n], alone[name][0], name)


@pytest.mark.parametrize("method", LAYERED)
def test_several_layers_in_one_file_equal_files_of_one(method: str) -> None:
    model, layers = network(), ["conv1", "pool", "relu2"]
    if METHODS[method].rules == "guided":  # of which ReLUs must lie between the layer and the score
        layers = ["conv1", "pool"]
    wanted = [name for name in maps_of(method) if name != "score"]
    got = explain(rewrite(model, method=method, layers=layers, outputs=wanted), images(model), [[0, 3], [4, 1]])
    for layer in layers:
        alone = explain(rewrite(model, method=method, layers=layer, outputs=wanted), images(model), [[0, 3], [4, 1]])
        for name in wanted:
            # The gradient at the input does not depend on the layer, unless the method multiplies it with a map of it.
            same = name == "input_gradient" and METHODS[method].at == "layer"
            close(got[name if same else f"{name}@{layer}"], alone[name], name)


def test_a_map_at_a_layer_comes_with_the_gradient_at_the_input() -> None:
    model = network()
    explained = rewrite(model, layers=["relu1", "relu2"], outputs=["cam", "input_gradient"])
    assert names_of(explained.graph.output) == ["logits", "cam@relu1", "input_gradient", "cam@relu2"]
    replica, feeds = Replica(model), images(model)
    got = explain(explained, feeds, [[0, 3], [4, 1]])["input_gradient"]
    for n, targets in enumerate([[0, 3], [4, 1]]):
        for k, target in enumerate(targets):
            close(got[n, k], replica.backward(replica.forward(feeds["image"][n]), target)["image"])


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_method_has_the_outputs_that_it_says_and_no_others(method: str) -> None:
    lacking = LACKING[METHODS[method].at]
    explained = rewrite(small_cnn(), method=method, outputs=[name for name in OUTPUTS if name not in lacking])
    assert set(names_of(explained.graph.output)) == {*OUTPUTS} - {*lacking}
    for name in lacking:
        with pytest.raises(UsageError) as error:
            rewrite(small_cnn(), method=method, outputs=[name])
        assert_one_line(error, f"method {method!r} has no output {name!r}; take score, ")


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_blank_image_gives_finite_maps(method: str) -> None:
    model = network()
    explained = rewrite(model, method=method, outputs=maps_of(method))
    got = explain(explained, {"image": np.zeros((2, 3, 8, 8), np.float32)}, [[0, 3], [4, 1]])
    for name in maps_of(method):
        assert np.isfinite(got[name]).all(), name
    assert np.abs(got["heatmap"]).max() <= 1


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_method_whose_gradient_nobody_asks_for_still_has_its_score(method: str) -> None:
    """Rules that had no gradient to change are no error."""
    assert names_of(rewrite(small_cnn(), method=method, outputs=["score"]).graph.output) == ["logits", "score"]


def test_rules_that_change_nothing_are_an_error_only_where_a_gradient_is_taken() -> None:
    wanted = ["score", "activation"]
    assert names_of(rewrite(small_cnn(), rules="guided", outputs=wanted).graph.output) == ["logits", *wanted]
    with pytest.raises(OnnxplainError, match="no ReLU lies between 'relu2' and 'logits'"):
        rewrite(small_cnn(), rules="guided", outputs=[*wanted, "gradient"])
