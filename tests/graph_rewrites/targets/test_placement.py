"""Where maps lie: one bright block in the input, and the heatmap peaks there, whatever the graph did to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx
import pytest
from onnxplain.engine.explainer import Explainer
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.rewrite import layers, rewrite, survey

from ..messages import assert_one_line
from ..networks import Net, f32, images, small_cnn
from ..transformers import TokenNet

Move: TypeAlias = Callable[[Net, str], str]
SIDE = 48


def ints(net: Net, *values: Any) -> list[str]:
    return [net.const(value, np.int64) for value in values]


def sliced(starts: Any, ends: Any, axes: Any, steps: Any = None) -> Move:
    return lambda net, x: net.add("Slice", x, *ints(net, starts, ends, axes, *([] if steps is None else [steps])))


def gathered(indices: Any, axis: int = 3) -> Move:
    return lambda net, x: net.add("Gather", x, net.const(indices, np.int64), axis=axis)


def split(index: int) -> Move:
    def move(net: Net, x: str) -> str:
        net.add("Split", x, net.const([30, 18], np.int64), axis=3, out="left")
        net.nodes[-1].output.append("right")
        return ("left", "right")[index]

    return move


def centre(net: Net, x: str) -> str:
    """The middle 32 x 32, its corner computed from the input's size, as torchvision exports it."""
    shape = net.add("Shape", x)
    height = net.add("Gather", shape, net.const([2], np.int64), axis=0)
    start = net.add("Div", net.add("Sub", height, net.const([32], np.int64)), net.const([2], np.int64))
    return net.add("Slice", x, start, net.add("Add", start, net.const([32], np.int64)), net.const([3], np.int64))


def rolled(net: Net, x: str) -> str:
    parts = [sliced([16], [99], [3])(net, x), sliced([0], [16], [3])(net, x)]
    return net.add("Concat", *parts, axis=3)


def halves(net: Net, x: str) -> str:
    return net.add("Add", sliced([0], [24], [3])(net, x), sliced([24], [48], [3])(net, x))


def focus(net: Net, x: str) -> str:
    """Every second row and column, four times, as channels (YOLOv5)."""
    starts = [(0, 0), (1, 0), (0, 1), (1, 1)]
    parts = [sliced(start, [99, 99], [2, 3], [2, 2])(net, x) for start in starts]
    return net.add("Concat", *parts, axis=1)


def blocks(net: Net, x: str) -> str:
    """A crop, and then blocks of 2 x 2 pixels as channels, by reshapes."""
    x = sliced([8, 16], [40, 48], [2, 3])(net, x)
    x = net.add("Reshape", x, net.const([-1, 3, 16, 2, 16, 2], np.int64))
    return net.add("Reshape", net.add("Transpose", x, perm=[0, 1, 3, 5, 2, 4]), net.const([-1, 12, 16, 16], np.int64))


def valid(net: Net, x: str) -> str:
    for _ in range(4):
        x = net.add("Conv", x, net.const(np.abs(net.rng.normal(size=(3, 3, 5, 5)))))
    return x


def padded(net: Net, x: str) -> str:
    """To a square twice as large, below and on the right, by amounts computed from the size."""
    shape = net.add("Shape", x)
    size = net.add("Gather", shape, net.const([3], np.int64), axis=0)
    amounts = net.add("Concat", *ints(net, [0] * 6), size, size, axis=0)
    return net.add("Pad", x, amounts)


# What is done to the input; of it, the block that is bright; how many channels come out.
RIGHT: dict[str, tuple[Move, tuple[int, int], int]] = {
    "as it is": (lambda net, x: x, (20, 30), 3),
    "crop": (sliced([8, 4], [40, 36], [2, 3]), (20, 28), 3),
    "crop of an open end": (sliced([16], [2**62], [3]), (20, 36), 3),
    "mirror": (sliced([-1], [-999], [3], [-1]), (10, 36), 3),
    "turn": (lambda net, x: net.add("Transpose", x, perm=[0, 1, 3, 2]), (10, 36), 3),
    "turn and crop": (
        lambda net, x: net.add("Transpose", sliced([8], [40], [3])(net, x), perm=[0, 1, 3, 2]),
        (20, 14),
        3,
    ),
    "padding": (lambda net, x: net.add("Pad", x, net.const([0, 0, 16, 0, 0, 0, 0, 32], np.int64)), (10, 30), 3),
    "negative padding": (
        lambda net, x: net.add("Pad", x, net.const([0, 0, -8, 0, 0, 0, 0, -16], np.int64)),
        (16, 20),
        3,
    ),
    "computed padding": (padded, (10, 36), 3),
    "crop by Gather": (gathered(range(12, 44)), (20, 30), 3),
    "mirror by Gather": (gathered(range(47, -1, -1)), (10, 36), 3),
    "left part of a Split": (split(0), (20, 20), 3),
    "right part of a Split": (split(1), (20, 38), 3),
    "centre crop": (centre, (20, 30), 3),
    "CenterCropPad": (
        lambda net, x: net.add("CenterCropPad", x, net.const([24, 64], np.int64), axes=[2, 3]),
        (20, 38),
        3,
    ),
    "focus": (focus, (10, 36), 12),
    "crop, and blocks as channels": (blocks, (20, 30), 12),
    "space to depth": (lambda net, x: net.add("SpaceToDepth", x, blocksize=2), (10, 36), 12),
    "valid convolutions": (valid, (14, 30), 3),
}
REFUSED: dict[str, Move] = {
    "roll": rolled,
    "halves added": halves,
    "halves as channels": lambda net, x: net.add(
        "Concat", sliced([0], [24], [3])(net, x), sliced([24], [48], [3])(net, x), axis=1
    ),
    "computed mirror": lambda net, x: net.add(
        "GridSample", x, net.const(np.stack(np.meshgrid(np.linspace(1, -1, 48), np.linspace(-1, 1, 48)), -1)[None])
    ),
}


def network(move: Move, channels: int = 3, batch: int | str = 1, size: Any = SIDE) -> onnx.ModelProto:
    """A network of positive weights behind a move: it brightens where its input does."""
    net = Net(18, seed=2)
    x = move(net, net.input("image", [batch, 3, size, size]))
    for each in (channels, 4):
        weights = net.const(np.abs(net.rng.normal(size=(4, each, 3, 3))))
        x = net.add("Relu", net.add("Conv", x, weights, strides=[2, 2], pads=[1] * 4))
    net.nodes[-1].output[0] = "layer"
    pooled = net.add("ReduceMean", "layer", net.const([2, 3], np.int64) if net.opset > 17 else "", keepdims=0)
    net.output(net.add("MatMul", pooled, net.const(np.abs(net.rng.normal(size=(4, 5)))), out="out"), [batch, 5])
    return net.model()


def peak(heatmap: np.ndarray) -> tuple[int, int]:
    row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
    return int(row), int(column)


def spot(at: tuple[int, int], side: int = SIDE) -> dict[str, np.ndarray]:
    image = np.zeros((1, 3, side, side), np.float32)
    image[:, :, at[0] : at[0] + 4, at[1] : at[1] + 4] = 1
    return {"image": image}


def assert_there(heatmap: np.ndarray, at: tuple[int, int], within: float = 4) -> None:
    row, column = peak(heatmap)
    assert abs(row - at[0] - 1.5) <= within, (row, column)
    assert abs(column - at[1] - 1.5) <= within, (row, column)


@pytest.mark.parametrize("name", RIGHT)
def test_the_heatmap_lies_where_the_layer_looked(name: str) -> None:
    move, at, channels = RIGHT[name]
    model = network(move, channels)
    assert "layer" in [layer.name for layer in layers(model)]
    cell = 4 if channels == 3 else 8
    assert_there(Explainer(model).run(spot(at), 1)["heatmap"][0, 0], at, cell)


@pytest.mark.parametrize(
    "method", ["hires-cam", "layer-cam", "score-cam", "ablation-cam", "full-grad", "guided-grad-cam"]
)
@pytest.mark.parametrize("name", ["crop by Gather", "mirror", "valid convolutions"])
def test_other_methods_draw_there_too(method: str, name: str) -> None:
    move, at, channels = RIGHT[name]
    assert_there(Explainer(network(move, channels), method=method).run(spot(at), 1)["heatmap"][0, 0], at)


@pytest.mark.parametrize("name", ["crop of an open end", "valid convolutions", "padding", "focus"])
def test_so_it_does_with_open_sizes(name: str) -> None:
    move, at, channels = RIGHT[name]
    explainer, within = Explainer(network(move, channels, "N", "S")), 4 if channels == 3 else 8
    for place, side in ((at, SIDE), ((at[0], at[1] + 20), 72)):
        assert_there(explainer.run(spot(place, side), 1)["heatmap"][0, 0], place, within)


@pytest.mark.parametrize("name", ["mirror", "centre crop"])
def test_what_depends_on_an_open_size_is_refused(name: str) -> None:
    with pytest.raises(OnnxplainError) as error:
        rewrite(network(RIGHT[name][0], 3, "N", "S"))
    assert_one_line(error, "depends on its size")


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_graph_does_not_tell_is_refused_by_name_and_not_offered(name: str) -> None:
    model = network(REFUSED[name], 6 if "channels" in name else 3)
    with pytest.raises(OnnxplainError) as error:
        rewrite(model, layers="layer")
    assert_one_line(error, "the graph does not tell where layer 'layer'", "placement 'resize'")
    with pytest.raises(OnnxplainError) as error:
        rewrite(model)
    assert_one_line(error, "none of the", "can be explained")
    assert layers(model) == []
    assert all(layer.reason for layer in survey(model))
    assert Explainer(model, method="gradient").run(spot((10, 36)), 1)["heatmap"].max() == 1
    assert Explainer(model, layers="layer", placement="resize").run(spot((10, 36)), 1)["heatmap"].max() == 1


def test_beyond_a_crop_the_map_is_zero_and_within_it_reaches_the_border() -> None:
    heatmap = Explainer(network(RIGHT["crop"][0])).run(spot((20, 28)), 1)["heatmap"][0, 0]
    for outside in (heatmap[:7], heatmap[41:], heatmap[:, :3], heatmap[:, 37:]):
        assert outside.max() == 0
    explained = rewrite(network(RIGHT["crop"][0]))
    (place,) = (read_metadata(explained) or {})["placements"].values()
    assert place == {"axes": [0, 1], "scales": [4, 4], "offsets": [9.5, 5.5], "reaches": [False, False]}


def test_cells_lie_at_their_receptive_fields_and_hold_up_to_the_border() -> None:
    """Valid convolutions of 5, 5, 5, 5, and then of 3 with stride 2 and padding twice: by hand."""
    model = network(RIGHT["valid convolutions"][0])
    feeds = images(model, 1)
    found = Explainer(model).run(feeds, 1)
    (place,) = (read_metadata(rewrite(model)) or {})["placements"].values()
    assert place == {"axes": [0, 1], "scales": [4, 4], "offsets": [9.5, 9.5], "reaches": [True, True]}
    cam = found["cam"][0, 0].astype(np.float64)
    assert cam.shape == (8, 8)
    at = np.clip((np.arange(SIDE) - 9.5) / 4, 0, 7)
    low = np.minimum(at.astype(int), 6)
    share = at - low
    rows = cam[low] * (1 - share)[:, None] + cam[low + 1] * share[:, None]
    expected = rows[:, low] * (1 - share) + rows[:, low + 1] * share
    np.testing.assert_allclose(found["heatmap"][0, 0], expected / expected.max(), atol=1e-5)


def test_spread_over_the_input_where_asked_for() -> None:
    model = network(RIGHT["valid convolutions"][0])
    feeds = images(model, 1)
    spread = Explainer(model, placement="resize").run(feeds, 1)
    cam = spread["cam"][0, 0].astype(np.float64)
    at = np.clip((np.arange(SIDE) + 0.5) / 6 - 0.5, 0, 7)
    low = np.minimum(at.astype(int), 6)
    share = at - low
    rows = cam[low] * (1 - share)[:, None] + cam[low + 1] * share[:, None]
    expected = rows[:, low] * (1 - share) + rows[:, low + 1] * share
    np.testing.assert_allclose(spread["heatmap"][0, 0], expected / expected.max(), atol=1e-5)
    assert "placements" not in (read_metadata(rewrite(model, placement="resize")) or {})


@pytest.mark.parametrize("size", [(8, 8), (6, 10), ("H", "W")])
def test_under_same_padding_nothing_changes(size: Any) -> None:
    one, other = (rewrite(small_cnn(size=size), placement=how) for how in ("receptive-field", "resize"))
    assert one == other


def test_cells_that_see_padding_alone_are_not_drawn_outside() -> None:
    """As in SqueezeNet 1.0, whose last layer is a convolution of 1 x 1 with a padding of 1."""
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 16, 16]), 3, 4, 1, pads=[1] * 4), out="layer")
    net.output(net.head(x, 4, 5), ["N", 5])
    one, other = (rewrite(net.model(), placement=how) for how in ("receptive-field", "resize"))
    assert one == other


def test_an_unknown_placement_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        rewrite(small_cnn(), placement="centre")
    assert_one_line(error, "unknown placement 'centre'", "receptive-field")


# --- tokens ---


@pytest.mark.parametrize("name", ["crop", "mirror", "turn"])
@pytest.mark.parametrize("behind", [False, True], ids=["before the patches", "of the patches"])
def test_tokens_lie_where_their_patches_looked(name: str, behind: bool) -> None:
    net = TokenNet(seed=4)
    image = net.input("image", [1, 3, SIDE, SIDE])
    weights = net.const(np.abs(net.rng.normal(size=(8, 3, 4, 4))))
    x = image if behind else RIGHT[name][0](net, image)
    x = net.add("Conv", x, weights, strides=[4, 4])
    if behind:
        moves = {"crop": sliced([2, 1], [10, 9], [2, 3]), "mirror": RIGHT["mirror"][0], "turn": RIGHT["turn"][0]}
        x = moves[name](net, x)
    x = net.add("Transpose", net.add("Reshape", x, net.const([0, 8, -1], np.int64)), perm=[0, 2, 1])
    x = net.add("Add", net.norm(net.with_extra(x, 1), "norm"), net.const(1), out="tokens")
    pooled = net.add("ReduceMean", net.add("Relu", x), axes=[1], keepdims=0)
    net.output(net.add("MatMul", pooled, net.random(8, 5), out="logits"), [1, 5])
    at = RIGHT[name][1]
    found = Explainer(net.model(), layers="norm", method="eigen-cam").run(spot(at), 1)["heatmap"][0, 0]
    assert_there(np.abs(found), at, 5)


ORDERS: dict[str, Move] = {
    "backwards": sliced([-1], [-999], [1], [-1]),
    "even ones first": lambda net, x: net.add(
        "Concat", sliced([0], [99], [1], [2])(net, x), sliced([1], [99], [1], [2])(net, x), axis=1
    ),
    "sorted": lambda net, x: net.add("TopK", x, net.const([16], np.int64), axis=1),
    "scattered": lambda net, x: net.add(
        "ScatterElements", x, net.const(np.arange(16)[::-1, None] * np.ones((1, 1, 8)), np.int64), x, axis=1
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_tokens_of_an_order_that_the_graph_does_not_tell_are_refused(name: str) -> None:
    net = TokenNet()
    x = net.patches(net.input("image", [1, 3, 8, 8]))
    x = ORDERS[name](net, x)
    if name == "sorted":
        net.nodes[-1].output.append("order")
    model = net.classify(net.norm(x, "norm"), "mean", 1)
    assert "norm" not in [layer.name for layer in layers(model)]
    with pytest.raises(OnnxplainError) as error:
        rewrite(model, layers="norm")
    assert_one_line(error, "layer 'norm'")


# --- which input is the image ---


@pytest.mark.parametrize("method", ["grad-cam", "gradient", "occlusion"])
@pytest.mark.parametrize("shape", [["N", 3, 8, 8], ["N", 1, 1, 16], [1, 4, 4, 4]])
def test_the_image_is_the_input_that_convolutions_look_at(method: str, shape: list[Any]) -> None:
    net = Net()
    prior = net.add("ReduceMean", net.input("prior", shape), axes=[1, 2, 3], keepdims=0)
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 12, 10]), 3, 4), out="layer")
    scores = net.head(x, 4, 5, "scores")
    net.output(net.add("Add", scores, net.add("Unsqueeze", prior, net.const([1], np.int64)), out="out"), ["N", 5])
    explainer = Explainer(net.model(), method=method)
    assert explainer.record["input"]["name"] == "image"
    prior_shape = [2 if size == "N" else size for size in shape]
    rng = np.random.default_rng(0)
    feeds = {"image": f32(rng.normal(size=(2, 3, 12, 10))), "prior": f32(rng.normal(size=prior_shape))}
    assert explainer.run(feeds, 1)["heatmap"].shape == (2, 1, 12, 10)
