"""Explained models of each architecture and method, and how far two runtimes' outputs lie apart."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import onnx
from onnxplain.graph_rewrites.maps.registry import METHODS
from onnxplain.graph_rewrites.rewrite import rewrite

from ..graph_rewrites.networks import Array, images, run
from .architectures import ARCHITECTURES

SIDE = 16
# What the methods themselves do not define: CAM needs global average pooling and one linear layer; excitation backprop
# has no rule for attention.
UNDEFINED = {"vgg": {"cam"}, "vit": {"cam", "mwp", "c-mwp"}, "lstm": {"cam"}}
# The architectures whose gradients a runtime lacks, and the methods that need none there.
WITHOUT_GRADIENTS = {"lstm": {"eigen-cam"}}

SIZES = ("fixed", "open")  # the batch and the image's sides in the file: numbers, or symbols


def methods_of(architecture: str) -> list[str]:
    """The methods that explain an architecture."""
    return [name for name in METHODS if name not in UNDEFINED.get(architecture, set())]


def needs_gradients(architecture: str, method: str) -> bool:
    """Whether the explained model holds gradients of an architecture for which not every runtime has them."""
    return architecture in WITHOUT_GRADIENTS and method not in WITHOUT_GRADIENTS[architecture]


CASES = [(a, size, m) for a in ARCHITECTURES for size in SIZES for m in methods_of(a) if not needs_gradients(a, m)]
REFUSED = [(a, size, m) for a in ARCHITECTURES for size in SIZES for m in methods_of(a) if needs_gradients(a, m)]


@cache
def network(architecture: str, size: str) -> onnx.ModelProto:
    """The model that is explained; not to be changed."""
    build = ARCHITECTURES[architecture]
    return build(1, (SIDE, SIDE)) if size == "fixed" else build("N", ("H", "W"))


def explained(architecture: str, size: str, method: str) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """An explained model and its inputs: two images and three classes of each where the sizes are open."""
    model = network(architecture, size)
    feeds = pictures(model, architecture, size)
    feeds["target"] = np.array([[-1]] if size == "fixed" else [[0, -1, -2], [3, 1, -1]])
    return rewrite(model, method=method), feeds


def pictures(model: onnx.ModelProto, architecture: str, size: str) -> dict[str, Array]:
    """One image, or two where the sizes are open."""
    count = 1 if size == "fixed" else 2
    if architecture != "nhwc":
        return images(model, count, SIDE)
    return {"image": np.random.default_rng(1).normal(size=(count, SIDE, SIDE, 3)).astype(np.float32)}


def assert_same(got: Mapping[str, Array], model: onnx.ModelProto, feeds: dict[str, Array], tolerance: float) -> None:
    """Every output has ONNX Runtime's shape, type and values, within a part of the output's largest magnitude."""
    expected = run(model, feeds)
    assert list(got) == list(expected)
    for name, value in expected.items():
        assert (got[name].shape, got[name].dtype) == (value.shape, value.dtype), name
        largest = np.abs(value).max(initial=0)
        np.testing.assert_allclose(got[name], value, rtol=0, atol=tolerance * largest, err_msg=name)
