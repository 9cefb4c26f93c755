"""Class activation maps against a replica in float64 numpy, at layers of signed values too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnxplain.graph_rewrites.rewrite import rewrite

from ..networks import Array, explain, images
from .replica import Replica, close, column, network, upsampled

Formula = Callable[[Array, Array], Array]
TARGET = [[0, 3], [4, 1]]
LAYERS = ("conv1", "relu1", "norm", "relu2")


def mean(g: Array) -> Array:
    return np.asarray(g.mean(axis=(1, 2)))


def total(a: Array) -> Array:
    return np.asarray(a.sum(axis=(1, 2)))


def weighted(alpha: Array, a: Array) -> Array:
    return np.asarray((column(alpha) * a).sum(axis=0))


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def plus_plus(a: Array, g: Array) -> Array:
    """The paper's alpha, element by element: 0 where the gradient is."""
    weights = np.zeros(len(a))
    for k, i, j in np.argwhere(g > 0):
        weights[k] += g[k, i, j] ** 2 / (2 * g[k, i, j] ** 2 + a[k].sum() * g[k, i, j] ** 3) * g[k, i, j]
    return relu(weighted(weights, a))


def xgrad(a: Array, g: Array) -> Array:
    sums = total(a)
    dead = sums == 0
    return relu(weighted(np.where(dead, 0, total(g * a)) / np.where(dead, 1, sums), a))


FORMULAS: dict[str, tuple[str, dict[str, Any], Formula]] = {
    "grad-cam": ("grad-cam", {}, lambda a, g: relu(weighted(mean(g), a))),
    "without ReLU": ("grad-cam", {"relu": False}, lambda a, g: weighted(mean(g), a)),
    "absolute": ("grad-cam", {"gradients": "absolute"}, lambda a, g: relu(weighted(mean(np.abs(g)), a))),
    "maximum": ("grad-cam", {"pooling": "max"}, lambda a, g: relu(weighted(g.max(axis=(1, 2)), a))),
    "absolute maximum, no ReLU": (
        "grad-cam",
        {"relu": False, "gradients": "absolute", "pooling": "max"},
        lambda a, g: weighted(np.abs(g).max(axis=(1, 2)), a),
    ),
    "counterfactual": ("counterfactual", {}, lambda a, g: relu(weighted(-mean(g), a))),
    "grad-cam++": ("grad-cam++", {}, plus_plus),
    "xgrad-cam": ("xgrad-cam", {}, xgrad),
    "hires-cam": ("hires-cam", {}, lambda a, g: relu((g * a).sum(axis=0))),
    "hires-cam without ReLU": ("hires-cam", {"relu": False}, lambda a, g: (g * a).sum(axis=0)),
    "layer-cam": ("layer-cam", {}, lambda a, g: relu((relu(g) * a).sum(axis=0))),
}


def places(layer: str, rules: str = "standard") -> list[list[tuple[Array, Array]]]:
    """A^k and dy^c/dA^k for each image and target."""
    replica, feeds = Replica(network()), images(network())
    tensors = [replica.forward(image) for image in feeds["image"]]
    return [
        [(t[layer], replica.backward(t, target, rules)[layer]) for target in targets]
        for t, targets in zip(tensors, TARGET, strict=True)
    ]


@pytest.mark.parametrize("name", FORMULAS)
def test_a_map_equals_its_replica_at_every_layer(name: str) -> None:
    method, options, formula = FORMULAS[name]
    model = network()
    explained = rewrite(model, method=method, layers=LAYERS, options=options)
    got = explain(explained, images(model), TARGET)
    signs = set()
    for layer in LAYERS:
        cams = np.array([[formula(a, g) for a, g in row] for row in places(layer)])
        close(got[f"cam@{layer}"], cams, layer)
        for cam, heatmap in zip(
            cams.reshape(4, *cams.shape[2:]), got[f"heatmap@{layer}"].reshape(4, 8, 8), strict=True
        ):
            close(heatmap, upsampled(cam), layer)
        signs.update(np.sign(got[f"heatmap@{layer}"]).ravel())
    assert signs >= ({-1, 1} if options.get("relu") is False else {0, 1})
    assert (-1 in signs) == (options.get("relu") is False)


@pytest.mark.parametrize("rules", ["guided", "deconvnet"])
@pytest.mark.parametrize("name", ["grad-cam", "without ReLU", "counterfactual", "hires-cam", "layer-cam"])
def test_a_map_under_other_backward_rules_equals_its_replica(name: str, rules: str) -> None:
    method, options, formula = FORMULAS[name]
    model = network()
    explained = rewrite(model, method=method, layers=["conv1", "relu1"], rules=rules, options=options)
    got = explain(explained, images(model), TARGET)
    for layer in ("conv1", "relu1"):
        cams = np.array([[formula(a, g) for a, g in row] for row in places(layer, rules)])
        close(got[f"cam@{layer}"], cams, layer)
        plain = np.array([[formula(a, g) for a, g in row] for row in places(layer)])
        assert np.abs(cams - plain).max() > 1e-3  # else the rules have not been tested


def test_cam_takes_the_weights_of_the_linear_layer_without_a_relu() -> None:
    """Zhou et al. 2016: the sum of the feature maps by the class's own weights, negative ones too."""
    model = network()
    got = explain(rewrite(model, method="cam"), images(model), TARGET)
    linear = Replica(model).w["w3"]
    maps = [
        [weighted(linear[c], a) for c, (a, _) in zip(cs, row, strict=True)]
        for cs, row in zip(TARGET, places("relu2"), strict=True)
    ]
    close(got["cam"], np.array(maps))
    assert got["cam"].min() < 0 < got["cam"].max()
    close(got["heatmap"], np.array([[upsampled(cam) for cam in row] for row in maps]))


def test_a_channel_that_is_dead_everywhere_is_left_out() -> None:
    """Its sum is 0, the denominator of XGrad-CAM, and so is its part of Grad-CAM++'s."""
    model = network()
    for tensor in model.graph.initializer:
        if tensor.name == "b2":
            values = np.frombuffer(tensor.raw_data, np.float32).copy()
            values[2] = -1e4
            tensor.raw_data = values.tobytes()
    replica, feeds = Replica(model), images(model)
    for name in ("xgrad-cam", "grad-cam++"):
        got = explain(rewrite(model, method=name), feeds, TARGET)
        for image, targets, cams in zip(feeds["image"], TARGET, got["cam"], strict=True):
            t = replica.forward(image)
            assert not t["relu2"][2].any()
            for target, cam in zip(targets, cams, strict=True):
                close(cam, FORMULAS[name][2](t["relu2"], replica.backward(t, target)["relu2"]))
