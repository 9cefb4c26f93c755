"""Transformers: which layers there are, and their tokens as maps."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.rewrite import layers, rewrite
from onnxplain.graph_rewrites.vjp import append_vjp

from ..messages import assert_one_line
from ..networks import Array, explain, images, run
from ..transformers import CLASSES, TokenNet, merged_tokens, mixer, swin, vit

OUTPUTS = ("score", "cam", "activation", "gradient")
PARTS = ("norm1", "sum1", "norm2", "sum2")


def default(model: onnx.ModelProto) -> str:
    (name,) = [layer.name for layer in layers(model) if layer.is_default]
    return name


def tokens_and_gradient(model: onnx.ModelProto, layer: str, feeds: dict[str, Array], classes: Array) -> list[Array]:
    """A tensor of the model and dy^c/d<tensor>, as the model lays them out."""
    cotangent = np.eye(CLASSES, dtype=np.float32)[classes]
    shown = onnx.ModelProto()
    shown.CopyFrom(append_vjp(model, "logits", [layer]))
    shown.graph.output.append(onnx.ValueInfoProto(name=layer))
    results = run(shown, {**feeds, "logits_cotangent": cotangent}, check=False)
    return [results[layer], results[f"{layer}_grad"]]


def on_grid(tokens: Array, rows: int, columns: int) -> Array:
    """The last tokens, row by row, as maps [N, C, rows, columns]; one at a time, to be sure of it."""
    n, count, channels = tokens.shape
    maps = np.zeros((n, channels, rows, columns), np.float32)
    for i in range(rows):
        for j in range(columns):
            maps[:, :, i, j] = tokens[:, count - rows * columns + i * columns + j]
    return maps


@pytest.mark.parametrize(
    ("model", "layer", "grid"),
    [
        (vit(1), "b/norm1", (4, 4)),
        (vit(2), "b/norm1", (4, 4)),
        (vit(5), "b/norm1", (4, 4)),
        (vit(0, "mean"), "final", (4, 4)),
        (vit(5, "mean"), "final", (4, 4)),
        (vit(1, size=(6, 10)), "b/norm1", (3, 5)),
        (vit(1, batch=2), "b/norm1", (4, 4)),
        (vit(1, batch=2, in_parts=True), "b/norm1", (4, 4)),
        (vit(1, in_parts=True), "b/norm1", (4, 4)),
        (mixer(), "sum2", (3, 5)),
        (merged_tokens(), "merged", (2, 3)),
    ],
    ids=[
        *("class token", "distilled", "registers", "mean", "mean with registers", "oblong", "fixed batch"),
        *("norm in parts", "norm in parts, open batch", "mixer", "merged"),
    ],
)
def test_the_default_layer_and_its_tokens_as_maps(model: onnx.ModelProto, layer: str, grid: tuple[int, int]) -> None:
    assert default(model) == layer
    feeds = images(model)
    classes = np.array([3, 1])
    result = explain(rewrite(model, outputs=OUTPUTS), feeds, classes[:, None])
    activation, gradient = (on_grid(t, *grid) for t in tokens_and_gradient(model, layer, feeds, classes))
    np.testing.assert_allclose(result["activation"], activation, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result["gradient"][:, 0], gradient, rtol=1e-4, atol=1e-6)
    assert np.all(np.abs(gradient).max(axis=1) > 0)  # every patch counts
    cam = np.maximum((gradient.mean(axis=(2, 3), keepdims=True) * activation).sum(axis=1), 0)
    np.testing.assert_allclose(result["cam"][:, 0], cam, rtol=1e-4, atol=1e-6)


def test_grad_cam_of_a_class_token_vit_is_that_of_a_plain_replica() -> None:
    """The replica computes the last block in float64 numpy and differentiates by differences."""
    model = vit(1, batch=1)
    feeds = images(model, 1)
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in ("b/norm1", "a/sum2"))
    values = run(shown, feeds, check=False)
    normal, residual = (values[name][0].astype(np.float64) for name in ("b/norm1", "a/sum2"))
    weights = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    made = [node.output[0] for node in model.graph.node]
    after = model.graph.node[made.index("b/norm1") + 1 :]
    matrices = iter([weights[name] for node in after for name in node.input if name in weights and weights[name].ndim])

    def take(count: int) -> list[Array]:
        return [next(matrices) for _ in range(count)]

    wq, bq, wk, bk, wv, bv, wo, bo, scale2, shift2, w1, b1, w2, b2, scale3, shift3, head = take(17)

    def norm(x: Array, scale: Array, shift: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * scale + shift

    def score(x: Array) -> float:
        scores = np.exp((x @ wq + bq) @ (x @ wk + bk).T)
        y = residual + (scores / scores.sum(-1, keepdims=True)) @ (x @ wv + bv) @ wo + bo
        y = y + np.maximum(norm(y, scale2, shift2) @ w1 + b1, 0) @ w2 + b2
        return float((norm(y, scale3, shift3)[0] @ head)[2])

    gradient = np.zeros_like(normal)
    for index in np.ndindex(*normal.shape):
        step = np.zeros_like(normal)
        step[index] = 1e-5
        gradient[index] = (score(normal + step) - score(normal - step)) / 2e-5
    alpha = gradient[1:].mean(axis=0)
    expected = np.maximum(normal[1:] @ alpha, 0).reshape(4, 4)

    result = explain(rewrite(model, outputs=OUTPUTS), feeds, [[2]])
    np.testing.assert_allclose(result["score"][0, 0], score(normal), rtol=1e-5)
    assert expected.max() > 0
    np.testing.assert_allclose(result["cam"][0, 0], expected, rtol=1e-3, atol=1e-5)


def test_behind_the_last_attention_the_patches_of_a_class_token_vit_do_not_count() -> None:
    result = explain(rewrite(vit(1), layers="final", outputs=OUTPUTS), images(vit(1)))
    assert np.all(result["gradient"] == 0)


@pytest.mark.parametrize("pool", ["class", "mean"])
def test_open_sizes_give_the_grid_at_run_time(pool: str) -> None:
    model = vit(1, pool, size=("H", "W"))
    explained = rewrite(model, outputs=OUTPUTS)
    for size in ((8, 8), (6, 10)):
        fixed = vit(1, pool, size=size)
        feeds = images(fixed)
        expected, result = explain(rewrite(fixed, outputs=OUTPUTS), feeds), explain(explained, feeds)
        assert result["cam"].shape == (2, 1, size[0] // 2, size[1] // 2)
        for name in OUTPUTS:
            np.testing.assert_allclose(result[name], expected[name], rtol=1e-5, atol=1e-6)


def test_merged_tokens_of_open_sizes_have_the_coarser_grid() -> None:
    explained = rewrite(merged_tokens(("H", "W")), layers=["before", "merged"], outputs=OUTPUTS)
    for size in ((8, 12), (4, 8)):
        fixed = merged_tokens(size)
        feeds = images(fixed)
        expected = explain(rewrite(fixed, layers=["before", "merged"], outputs=OUTPUTS), feeds)
        result = explain(explained, feeds)
        assert result["cam@before"].shape == (2, 1, size[0] // 2, size[1] // 2)
        assert result["cam@merged"].shape == (2, 1, size[0] // 4, size[1] // 4)
        np.testing.assert_allclose(result["cam@merged"], expected["cam@merged"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (vit(1, "mean"), [*(f"{block}/{part}" for block in "ab" for part in PARTS), "final"]),
        (vit(1, "class"), [*(f"a/{part}" for part in PARTS), "b/norm1"]),
        (mixer(), ["norm1", "sum1", "norm2", "sum2"]),
        (merged_tokens(), ["before", "merged"]),
        (swin(), ["first", "sum", "merged", "last"]),
    ],
    ids=["vit by mean", "vit by class token", "mixer", "merged", "swin"],
)
def test_blocks_are_listed_by_their_sums_and_norms(model: onnx.ModelProto, expected: list[str]) -> None:
    assert [layer.name for layer in layers(model) if layer.op_type in ("Add", "LayerNormalization")] == expected


def test_the_layers_of_a_norm_in_parts_are_those_of_the_whole() -> None:
    assert [layer.name for layer in layers(vit(in_parts=True))] == [layer.name for layer in layers(vit())]


@pytest.mark.parametrize("layer", ["first", "sum", "merged", "last"])
def test_maps_with_the_channels_last_are_turned(layer: str) -> None:
    model = swin()
    feeds, classes = images(model), np.array([4, 0])
    result = explain(rewrite(model, layers=layer, outputs=OUTPUTS), feeds, classes[:, None])
    activation, gradient = tokens_and_gradient(model, layer, feeds, classes)
    assert result["cam"].shape[2:] == ((4, 8) if layer in ("first", "sum") else (2, 4))
    np.testing.assert_allclose(result["activation"], np.moveaxis(activation, 3, 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result["gradient"][:, 0], np.moveaxis(gradient, 3, 1), rtol=1e-4, atol=1e-6)


def test_the_default_of_a_swin_is_its_last_sum() -> None:
    assert default(swin()) == "last"


@pytest.mark.parametrize("model", [vit(1), vit(5, "mean"), mixer(), swin(), vit(1, size=("H", "W"))])
def test_all_layers_in_one_model_are_those_of_one_model_each(model: onnx.ModelProto) -> None:
    feeds, classes = images(model), [[0, 3, -1], [2, -1, 1]]
    result = explain(rewrite(model, layers="all", outputs=OUTPUTS), feeds, classes)
    names = [layer.name for layer in layers(model)]
    assert len(names) > 3
    for name in names:
        alone = rewrite(model, layers=name, outputs=OUTPUTS)
        for sample in range(2):
            for k in range(3):
                one = {key: value[sample : sample + 1] for key, value in feeds.items()}
                expected = explain(alone, one, [[classes[sample][k]]])
                for output in ("cam", "gradient"):
                    got = result[f"{output}@{name}"][sample, k]
                    np.testing.assert_allclose(got, expected[output][0, 0], rtol=1e-3, atol=1e-6)


def untraced(extra: int) -> onnx.ModelProto:
    """Patches behind further tokens, and then an operator behind which nothing is known of the axes."""
    net = TokenNet()
    x = net.with_extra(net.patches(net.input("image", ["N", 3, 8, 8])), extra)
    x = net.add("Compress", x, net.const(np.ones(16 + extra), bool), axis=1)
    return net.classify(net.norm(x, "norm"), "mean", "N")


def test_any_number_of_tokens_that_are_traced_may_stand_before_the_grid() -> None:
    net = TokenNet()
    x = net.with_extra(net.patches(net.input("image", ["N", 3, 8, 8])), 40)
    model = net.classify(net.norm(x, "norm"), "mean", "N")
    feeds = images(model, side=8)
    result = explain(rewrite(model, layers="norm", outputs=OUTPUTS), feeds, [[1], [2]])
    activation, _ = tokens_and_gradient(model, "norm", feeds, np.array([1, 2]))
    expected = on_grid(activation, 4, 4)
    np.testing.assert_allclose(result["activation"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("extra", [0, 1, 40])
def test_tokens_whose_order_the_graph_does_not_tell_are_no_layer(extra: int) -> None:
    model = untraced(extra)
    assert "norm" not in [layer.name for layer in layers(model)]
    with pytest.raises(OnnxplainError) as error:
        rewrite(model, layers="norm")
    assert_one_line(error, "layer 'norm'")


@pytest.mark.parametrize("length", [16, "L"])
def test_the_tokens_of_a_sound_stay_a_line(length: int | str) -> None:
    net = TokenNet()
    maps = net.conv(net.input("sound", ["N", 3, length]), 3, 8, 2, rank=1, pads=[0, 0], strides=[2])
    x = net.block(net.add("Transpose", maps, perm=[0, 2, 1]), "a")
    model = net.classify(net.norm(x, "final"), "mean", "N")
    assert default(model) == "final"
    feeds = images(model, side=16)
    result = explain(rewrite(model, outputs=(*OUTPUTS, "heatmap")), feeds, [[1], [2]])
    activation, gradient = tokens_and_gradient(model, "final", feeds, np.array([1, 2]))
    assert result["cam"].shape == (2, 1, 8)
    assert result["heatmap"].shape == (2, 1, 16)
    np.testing.assert_allclose(result["activation"], np.moveaxis(activation, 2, 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result["gradient"][:, 0], np.moveaxis(gradient, 2, 1), rtol=1e-4, atol=1e-6)


def test_without_a_patch_convolution_the_image_itself_tells_the_grid() -> None:
    result = explain(rewrite(mixer(), layers="norm1", outputs=OUTPUTS), images(mixer()))
    assert result["cam"].shape == (2, 1, 3, 5)
    assert result["activation"].shape == (2, 8, 3, 5)
