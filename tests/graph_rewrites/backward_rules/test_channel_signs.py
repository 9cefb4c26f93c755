"""Relevance of a network is the same however its normalisations are written: in the weights, or as nodes behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain.graph_rewrites.rewrite import rewrite

from ..autodiff.test_precision import in_type
from ..networks import Array, Net, explain, f32, images

Layer: TypeAlias = Callable[[Net, str, Array, Array, Array], str]

CHANNELS = 4
SIGNED = f32([1.5, -0.5, -2, 0.75])


def column(vector: Array) -> Array:
    return vector[:, None, None]


def convolution(net: Net, x: str, weight: Array) -> str:
    return net.add("Conv", x, net.const(weight), pads=[1] * 4)


def normalisation(net: Net, x: str, scale: Array, shift: Array) -> str:
    ones = np.ones(len(scale))
    return net.add("BatchNormalization", x, *map(net.const, (scale, shift, 0 * ones, ones)), epsilon=0.0)


# --- a convolution scaled by `scale` and shifted by `shift` ---


def in_the_weights(net: Net, x: str, weight: Array, scale: Array, shift: Array) -> str:
    return net.add("Add", convolution(net, x, weight * scale[:, None, None, None]), net.const(column(shift)))


def one_node(net: Net, x: str, weight: Array, scale: Array, shift: Array) -> str:
    return normalisation(net, convolution(net, x, weight), scale, shift)


def product_and_sum(net: Net, x: str, weight: Array, scale: Array, shift: Array) -> str:
    scaled = net.add("Mul", net.const(column(scale)), convolution(net, x, weight))
    return net.add("Add", scaled, net.const(column(shift)))


def difference_and_quotient(net: Net, x: str, weight: Array, scale: Array, shift: Array) -> str:
    shifted = net.add("Sub", convolution(net, x, weight), net.const(column(-shift / scale)))
    return net.add("Div", shifted, net.const(column(1 / scale)))


def two_products(net: Net, x: str, weight: Array, scale: Array, shift: Array) -> str:
    halved = net.add("Mul", convolution(net, x, weight), net.const(-0.5))
    return product_and_sum_of(net, halved, column(-2 * scale), column(shift))


def computed_from_weights(net: Net, x: str, weight: Array, scale: Array, shift: Array) -> str:
    factor = net.add("Mul", net.const(column(np.abs(scale))), net.const(column(np.sign(scale))))
    scaled = net.add("Mul", convolution(net, x, weight), factor)
    return net.add("Add", scaled, net.const(column(shift)))


def channels_last(net: Net, x: str, weight: Array, scale: Array, shift: Array) -> str:
    turned = net.add("Transpose", convolution(net, x, weight), perm=[0, 2, 3, 1])
    return net.add("Transpose", product_and_sum_of(net, turned, scale, shift), perm=[0, 3, 1, 2])


def channels_stay_last(net: Net, x: str, weight: Array, scale: Array, shift: Array) -> str:
    turned = net.add("Transpose", convolution(net, x, weight), perm=[0, 2, 3, 1])
    return product_and_sum_of(net, turned, scale, shift)


def product_and_sum_of(net: Net, x: str, scale: Array, shift: Array) -> str:
    return net.add("Add", net.add("Mul", x, net.const(scale)), net.const(shift))


# --- a linear layer scaled and shifted; `weight` is [outputs, inputs] ---


def linear_in_the_weights(net: Net, x: str, weight: Array, scale: Array, shift: Array) -> str:
    return net.add("Gemm", x, net.const(weight * scale[:, None]), net.const(shift), transB=1)


def normalised_gemm(net: Net, x: str, weight: Array, scale: Array, shift: Array) -> str:
    return normalisation(net, net.add("Gemm", x, net.const(weight), transB=1), scale, shift)


def scaled_gemm(net: Net, x: str, weight: Array, scale: Array, shift: Array) -> str:
    return product_and_sum_of(net, net.add("Gemm", x, net.const(weight.T)), scale, shift)


def scaled_matmul(net: Net, x: str, weight: Array, scale: Array, shift: Array) -> str:
    return product_and_sum_of(net, net.add("MatMul", x, net.const(weight.T)), scale, shift)


CONVOLUTIONS = [
    *(one_node, product_and_sum, difference_and_quotient, two_products, computed_from_weights),
    *(channels_last, channels_stay_last),
]
LINEAR = [normalised_gemm, scaled_gemm, scaled_matmul]


def network(conv: Layer, linear: Layer, function: str) -> onnx.ModelProto:
    net = Net()
    weight, hidden = net.rng.normal(size=(CHANNELS, 3, 3, 3)) / 5, net.rng.normal(size=(CHANNELS, CHANNELS)) / 5
    # So that every rectifier is active, and that shifts decide the signs of what tanh makes.
    shifts = net.rng.uniform(2, 4, size=(2, CHANNELS)) * (1 if function == "Relu" else f32([0.1, -0.1, 0.1, -0.1]))
    x = net.add(function, conv(net, net.input("image", ["N", 3, 8, 8]), weight, SIGNED, shifts[0]))
    if conv is channels_stay_last:
        x = net.add("Transpose", x, perm=[0, 3, 1, 2])
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    x = net.add(function, linear(net, x, hidden, SIGNED[::-1], shifts[1]))
    net.output(net.add("MatMul", x, net.const(net.rng.normal(size=(CHANNELS, 5))), out="logits"), ["N", 5])
    return net.model()


def relevance(model: onnx.ModelProto) -> Array:
    explained = rewrite(model, method="c-mwp", layers="image", outputs=["gradient"])
    return explain(explained, images(model), [[0, 3], [4, 1]])["gradient"]


@pytest.mark.parametrize("function", ["Relu", "Tanh"])
@pytest.mark.parametrize(
    ("conv", "linear"),
    [(conv, linear_in_the_weights) for conv in CONVOLUTIONS] + [(in_the_weights, linear) for linear in LINEAR],
    ids=[form.__name__ for form in (*CONVOLUTIONS, *LINEAR)],
)
def test_a_negative_scale_behind_a_layer_turns_its_weights(conv: Layer, linear: Layer, function: str) -> None:
    expected = relevance(network(in_the_weights, linear_in_the_weights, function))
    np.testing.assert_allclose(relevance(network(conv, linear, function)), expected, rtol=1e-4, atol=1e-6)
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("function", ["Relu", "Tanh"])
def test_so_it_does_in_a_float16_model(function: str) -> None:
    model = network(product_and_sum, scaled_gemm, function)
    narrow = rewrite(in_type(model, TensorProto.FLOAT16), method="c-mwp", layers="image", outputs=["gradient"])
    given = {"image": images(model)["image"].astype(np.float16)}
    np.testing.assert_allclose(explain(narrow, given, [[0, 3], [4, 1]])["gradient"], relevance(model), atol=2e-3)
