"""Statically, without a GPU: ONNX Runtime's CUDA provider has a kernel for all that is appended to a model."""

from __future__ import annotations

from itertools import product

import onnx
import pytest
from onnx import version_converter
from onnxplain.engine.embedded import MODEL
from onnxplain.graph_rewrites.maps.registry import METHODS
from onnxplain.graph_rewrites.rewrite import rewrite

from ..runtimes.architectures import ARCHITECTURES
from ..runtimes.explained import SIZES, methods_of, network
from .cuda import OLDEST, has_kernel, kernels, without_kernel
from .page import cases
from .verdict import emitted_by

# The provider itself lacks the transposed convolution of opset 22, which is the gradient of a convolution, and the Scan
# of opset 21, which runs the gradient of a recurrent layer.
NEWEST_COVERED, NEWEST_RECURRENT = 21, 20
# Operators that the provider has at no opset, so that a model with one is on the CPU there anyway.
WITHOUT_CUDA = {"Col2Im", "DFT", "Det", "MaxUnpool", "STFT", "Unique"}


def lacking(model: onnx.ModelProto, opset: int) -> list[str]:
    return without_kernel(emitted_by(model), opset)


CASES = [
    (architecture, size, opset)
    for architecture, size in product(ARCHITECTURES, SIZES)
    for opset in range(OLDEST, (NEWEST_RECURRENT if architecture == "lstm" else NEWEST_COVERED) + 1)
]


@pytest.mark.parametrize(("architecture", "size", "opset"), CASES)
def test_every_method_runs_on_cuda(architecture: str, size: str, opset: int) -> None:
    model = version_converter.convert_version(network(architecture, size), opset)
    lacks = {method: lacking(rewrite(model, method=method), opset) for method in methods_of(architecture)}
    assert not any(lacks.values()), lacks


@pytest.mark.parametrize("method", METHODS)
def test_the_embedded_model_runs_on_cuda(method: str) -> None:
    assert lacking(rewrite(MODEL, method=method), OLDEST) == []


@pytest.mark.parametrize("operator", [key for key in cases() if "::" not in key and key not in WITHOUT_CUDA])
def test_every_gradient_runs_on_cuda(operator: str) -> None:
    assert {lack for make in cases()[operator] for lack in lacking(make(), OLDEST)} == set()


def test_the_exceptions_have_no_kernel_at_any_opset() -> None:
    assert cases().keys() >= WITHOUT_CUDA
    assert WITHOUT_CUDA.isdisjoint(kernels())


def test_what_is_said_to_be_lacking_at_newer_opsets_still_is() -> None:
    for operator, newest in (("ConvTranspose", NEWEST_COVERED), ("Scan", NEWEST_RECURRENT)):
        assert without_kernel([(operator, "float")], newest) == []
        assert without_kernel([(operator, "float")], newest + 1) == [operator]


def test_a_missing_kernel_is_found() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 20]>
        net (float[N, 3] x, int64[N, 3] i) => (float[N, 1] y, int64[N, 3] j)
        { y = ReduceMax <keepdims = 1> (x)
          j = BitwiseNot (i) }
    """)
    assert lacking(model, 20) == []  # the model's own
    for node in model.graph.node:
        node.name = f"onnxplain/{node.op_type}"
    assert lacking(model, 20) == ["BitwiseNot of int64", "ReduceMax"]
    assert has_kernel("ReduceMax", "float", 18)
    assert not has_kernel("ReduceMax", "string", 18)


def test_sizes_computed_from_shapes_alone_are_left_to_the_cpu() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17]>
        net (float[N, 3] x) => (int64[2] sizes)
        { shape = Shape (x)
          sizes = Mod (shape, shape) }
    """)
    for node in model.graph.node:
        node.name = f"onnxplain/{node.op_type}"
    assert list(emitted_by(model)) == [("Shape", "float")]
