from __future__ import annotations

import numpy as np
import onnx
import onnxplain
import pytest
from onnxplain.engine.evaluation.maps import MethodMaps
from onnxplain.graph_rewrites.errors import OnnxplainError

from ...graph_rewrites.networks import small_cnn
from .colours import GAIN, network, picture

PREPROCESS = "raw,scale=1/255"
METHODS = ("grad-cam", "gradient", "score-cam", "guided-backprop")
IMAGE = np.random.default_rng(2).integers(0, 256, (9, 11, 3), np.uint8)


@pytest.mark.parametrize("batch", ["N", 1])
def test_many_methods_give_what_each_gives_alone(batch: str | int) -> None:
    model = small_cnn(batch)
    found = MethodMaps(model, METHODS, preprocess=PREPROCESS).explain(IMAGE, None, [3, 1], top=2)
    for method in METHODS:
        alone = onnxplain.Explainer(model, method=method, preprocess=PREPROCESS)(IMAGE, [-1, -2, 3, 1])
        assert set(found.maps[method]) == {one.target for one in alone}
        for one in alone:
            same = found.maps[method][one.target]
            np.testing.assert_allclose(same.heatmap, one.heatmap, atol=1e-5, err_msg=method)
            assert same.score == pytest.approx(one.score, abs=1e-5)
            assert (same.method, same.layer) == (one.method, one.layer)
        assert found.top == [one.target for one in alone[:2]]
        assert found.probabilities[found.top] == pytest.approx([one.probability for one in alone[:2]], abs=1e-6)


def test_methods_that_need_other_inputs_run_each_by_itself() -> None:
    """The input is uint8: its gradient is taken behind the cast, and the maps all the same."""
    model = small_cnn()
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    model.graph.node.insert(0, onnx.helper.make_node("Cast", ["image"], ["as_float"], to=onnx.TensorProto.FLOAT))
    model.graph.node[1].input[0] = "as_float"
    found = MethodMaps(model, ("grad-cam", "gradient"), preprocess="uint8").explain(IMAGE, None, [0])
    for method in ("grad-cam", "gradient"):
        (alone,) = onnxplain.Explainer(model, method=method, preprocess="uint8")(IMAGE, 0)
        np.testing.assert_allclose(found.maps[method][0].heatmap, alone.heatmap, atol=1e-5)


def test_a_method_that_the_model_does_not_allow_is_left_out() -> None:
    model = network()
    model.graph.node[2].op_type = "GlobalMaxPool"
    errors: list[OnnxplainError] = []
    maps = MethodMaps(model, ("cam", "grad-cam"), preprocess=PREPROCESS, on_error=errors.append)
    assert maps.methods == ["grad-cam"]
    (error,) = errors
    assert str(error).startswith("cam: ")
    with pytest.raises(OnnxplainError, match="CAM needs"):
        MethodMaps(model, ("cam", "grad-cam"), preprocess=PREPROCESS)


def test_ten_crops_average_predictions_and_maps() -> None:
    """Of 12 x 16 pixels and crops of 8 x 10, red lies at the left and is in the left crops alone."""
    image = picture([("red", 0, 4, 4, 8)], (12, 16))
    preprocess = f"{PREPROCESS},fit=crop,size=8x10,resize=12"
    found = MethodMaps(network(), ["grad-cam"], preprocess=preprocess, crops=10).explain(image, None, [0], top=1)
    # Of the 80 pixels red has 16 in four crops, 4 in the two of the centre, and none in four.
    shares = [np.exp(GAIN * area / 80) / (np.exp(GAIN * area / 80) + 2) for area in (16, 4, 0)]
    assert found.probabilities[0] == pytest.approx((4 * shares[0] + 2 * shares[1] + 4 * shares[2]) / 10, rel=1e-6)
    assert found.top == [0]
    explanation = found.maps["grad-cam"][0]
    assert explanation.heatmap.shape == (12, 16)
    red = image[..., 0] > 0
    np.testing.assert_allclose(explanation.heatmap, red, atol=1e-6)
    assert explanation.score == pytest.approx((4 * GAIN * 16 / 80 + 2 * GAIN * 4 / 80) / 10, rel=1e-6)


def test_a_model_with_further_inputs_is_refused() -> None:
    model = network()
    model.graph.input.append(onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, ["N", 1]))
    model.graph.node.insert(4, onnx.helper.make_node("Mul", ["vector", "mask"], ["masked"]))
    model.graph.node[5].input[0] = "masked"
    with pytest.raises(OnnxplainError, match=r"further inputs \['mask'\]"):
        MethodMaps(model, ["grad-cam"])
