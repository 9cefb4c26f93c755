"""Explained models of every kind: open sizes, other dtypes and layouts, and the embedded model."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.rewrite import layers, rewrite
from onnxplain.graph_rewrites.targets.layers import Layer

from .networks import ALL, Array, Net, described, explain, images, small_cnn


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("side", [8, 14])
def test_open_sizes_give_the_maps_of_the_same_model_with_fixed_sizes(batch: int, side: int) -> None:
    open_model, fixed = small_cnn("N", ("H", "W")), small_cnn(batch, (side, side))
    feeds = images(fixed, batch, side)
    got, expected = (explain(rewrite(m, outputs=ALL, layers="relu1"), feeds) for m in (open_model, fixed))
    for name in ALL:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


# --- kinds of models ---


def test_a_float16_model_has_a_float32_score_and_map() -> None:
    net = Net()
    x = net.input("image", ["N", 3, 8, 8], TensorProto.FLOAT16)
    weights = (net.random(4, 3, 3, 3, dtype=np.float16), net.random(4, dtype=np.float16))
    x = net.add("Relu", net.add("Conv", x, *weights, pads=[1, 1, 1, 1]), out="layer")
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    x = net.add("MatMul", x, net.random(4, 5, dtype=np.float16), out="logits")
    net.output(net.add("Softmax", x, out="probabilities"), ["N", 5], TensorProto.FLOAT16)
    model = net.model()
    explained = rewrite(model, outputs=ALL)
    types = {name: kind for name, (kind, _) in described(list(explained.graph.output)).items()}
    assert (types["score"], types["cam"], types["heatmap"]) == (TensorProto.FLOAT,) * 3
    assert types["probabilities"] == TensorProto.FLOAT16
    got = explain(explained, images(model), [[0, 1], [2, 3]])
    assert {got[name].dtype for name in ("score", "cam", "heatmap")} == {np.dtype(np.float32)}
    alpha = got["gradient"].astype(np.float64).mean(axis=(3, 4))
    cam = np.maximum(np.einsum("nkc,nchw->nkhw", alpha, got["activation"].astype(np.float64)), 0)
    np.testing.assert_allclose(got["cam"], cam, rtol=2e-3, atol=1e-3 * cam.max())


def test_a_float64_model_is_explained() -> None:
    net = Net()
    x = net.input("image", ["N", 3, 8, 8], TensorProto.DOUBLE)
    x = net.add("Conv", x, net.random(4, 3, 3, 3, dtype=np.float64), out="layer")
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    net.output(net.add("MatMul", x, net.random(4, 5, dtype=np.float64), out="logits"), ["N", 5], TensorProto.DOUBLE)
    feeds = images(net.model()) | {"target": np.array([[0, 1], [2, 3]])}
    names = ["score", "cam", "heatmap", "gradient"]
    explained = rewrite(net.model(), outputs=names)
    onnx.checker.check_model(explained, full_check=True)
    # ONNX Runtime has no convolution in float64.
    score, cam, heatmap, gradient = map(np.asarray, ReferenceEvaluator(explained).run(names, feeds))
    assert {array.dtype for array in (score, cam, heatmap)} == {np.dtype(np.float32)}
    assert gradient.dtype == np.float64
    linear = numpy_helper.to_array(net.initializers[1])
    np.testing.assert_allclose(gradient[0, 1], np.broadcast_to(linear[:, 1, None, None] / 36, (4, 6, 6)), rtol=1e-12)


def test_a_uint8_image_is_explained_through_its_cast() -> None:
    net = Net()
    x = net.input("image", ["N", 3, 8, 8], TensorProto.UINT8)
    x = net.add("Mul", net.add("Cast", x, to=TensorProto.FLOAT), net.const(1 / 255))
    x = net.add("Relu", net.conv(x, 3, 4), out="layer")
    net.output(net.head(x, 4, 5), ["N", 5])
    image = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8)).astype(np.uint8)
    got = explain(rewrite(net.model()), {"image": image}, [[0, 1], [2, 3]])
    assert got["heatmap"].shape == (2, 2, 8, 8)
    assert got["heatmap"].max() == 1


def twins(size: tuple[int, int] = (8, 6)) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The same network twice: NCHW, and NHWC with transposes around each convolution, the layer too."""
    models = []
    for last in (False, True):
        net = Net(seed=6)
        x = net.input("image", ["N", *size, 3] if last else ["N", 3, *size])
        for c_in, c_out, name in ((3, 4, "first"), (4, 6, "layer")):
            x = net.add("Transpose", x, perm=[0, 3, 1, 2]) if last else x
            x = net.conv(x, c_in, c_out)
            x = net.add("Transpose", x, perm=[0, 2, 3, 1]) if last else x
            x = net.add("Relu", x, out=name)
        x = net.add("ReduceMean", x, axes=[1, 2] if last else [2, 3], keepdims=0)
        net.output(net.add("Gemm", x, net.random(5, 6), transB=1, out="logits"), ["N", 5])
        models.append(net.model())
    return models[0], models[1]


@pytest.mark.parametrize("layer", ["first", "layer"])
def test_an_nhwc_model_gives_the_maps_of_its_nchw_twin(layer: str) -> None:
    nchw, nhwc = twins()
    image = np.random.default_rng(0).normal(size=(2, 3, 8, 6)).astype(np.float32)
    target = [[0, -1], [3, 4]]
    expected = explain(rewrite(nchw, layers=layer, outputs=ALL), {"image": image}, target)
    explained = rewrite(nhwc, layers=layer, outputs=ALL)
    assert (read_metadata(explained) or {})["input"] == {"name": "image", "layout": "NHWC"}
    got = explain(explained, {"image": np.ascontiguousarray(image.transpose(0, 2, 3, 1))}, target)
    for name in ALL:
        assert got[name].shape == expected[name].shape, name
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("size", [(16,), (8, 6, 4)], ids=["1-D", "3-D"])
def test_sounds_and_volumes_have_maps_of_their_own_rank(size: tuple[int, ...]) -> None:
    model = small_cnn(size=size)
    got = explain(rewrite(model, outputs=ALL), images(model), [[0, 1], [2, -1]])
    small = tuple(s // 2 for s in size)
    assert got["cam"].shape == (2, 2, *small)
    assert got["heatmap"].shape == (2, 2, *size)
    spatial = tuple(range(3, 3 + len(size)))
    alpha = got["gradient"].mean(axis=spatial)
    cam = np.maximum(np.einsum("nkc,nc...->nk...", alpha, got["activation"]), 0)
    np.testing.assert_allclose(got["cam"], cam, rtol=1e-4, atol=1e-6)
    # The first row along the last axis, by half-pixel linear interpolation with clamped ends.
    places = np.clip((np.arange(size[-1]) + 0.5) / 2 - 0.5, 0, small[-1] - 1)
    line = np.interp(places, np.arange(small[-1]), got["cam"][0, 0][(0,) * (len(size) - 1)])
    large = got["heatmap"][0, 0][(0,) * (len(size) - 1)]
    peak = line.max() / large.max() if large.max() else 1
    np.testing.assert_allclose(large * peak, line, rtol=1e-4, atol=1e-6)


# --- the embedded model ---


def test_the_embedded_model_equals_gradients_recorded_from_pytorch(
    efficientnet: Path, reference: dict[str, Array]
) -> None:
    """All three classes in one run. The reference is float64; the file computes in float32, with unit round-off 6e-8,
    through about 50 layers whose sums of up to some thousand terms each lose two digits: 1e-4 of the largest value.
    """  # noqa: D205
    explained = rewrite(efficientnet, outputs=ALL)
    classes = reference["classes"]
    got = explain(explained, {"image": reference["image"]}, classes[None])
    expected = {
        "logits": reference["logits"][None],
        "score": reference["logits"][classes][None],
        "activation": reference["activation"][None],
        "gradient": reference["gradient"][None],
        "cam": reference["grad_cam"][None],
    }
    for name, value in expected.items():
        assert got[name].shape == value.shape, name
        np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-4 * np.abs(value).max(), err_msg=name)
    ranked = explain(explained, {"image": reference["image"]}, [[-1, -2]])
    np.testing.assert_allclose(ranked["cam"][0], got["cam"][0, :2], rtol=1e-4, atol=1e-5 * got["cam"].max())
    for cam, heatmap in zip(got["cam"][0], got["heatmap"][0], strict=True):
        large = cv2.resize(cam, (224, 224), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(heatmap, large / large.max(), atol=1e-5)


def test_rewriting_the_embedded_model_grows_it_by_less_than_a_hundredth(efficientnet: Path) -> None:
    original, explained = onnx.load(efficientnet), rewrite(efficientnet)
    assert explained.ByteSize() <= 1.01 * original.ByteSize()
    shapes = {tuple(t.dims) for t in explained.graph.initializer if np.prod(t.dims, dtype=int) > 100}
    before = {tuple(t.dims) for t in original.graph.initializer if np.prod(t.dims, dtype=int) > 100}
    assert shapes == before


def test_the_embedded_models_default_layer_is_its_last_feature_map(efficientnet: Path) -> None:
    default: list[Layer] = [layer for layer in layers(efficientnet) if layer.is_default]
    assert len(default) == 1
    assert default[0].shape[1:] == (1280, 7, 7)


def test_a_path_a_string_and_a_proto_give_the_same_model(tmp_path: Path) -> None:
    model = small_cnn()
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    by_proto = rewrite(model).SerializeToString(deterministic=True)
    assert rewrite(path).SerializeToString(deterministic=True) == by_proto
    assert rewrite(str(path)).SerializeToString(deterministic=True) == by_proto


def test_weights_of_the_explained_model_are_those_of_the_original() -> None:
    model = small_cnn()
    explained = {t.name: t for t in rewrite(model).graph.initializer}
    for tensor in model.graph.initializer:
        assert explained[tensor.name] == tensor
