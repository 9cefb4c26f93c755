"""Operators of classical machine learning (domain ai.onnx.ml) that take floats to floats."""

from __future__ import annotations

from ....build.emitter import Emitter
from ....graph.node import Node
from ....graph.tensors import Tensor
from ...decompose import decomposition_of
from ...reverse import Gradient, gradient_of


@decomposition_of("ai.onnx.ml::ArrayFeatureExtractor")
def array_feature_extractor(op: Emitter, node: Node) -> list[Tensor]:
    """The elements of the last axis at the given indices."""
    x, indices = node.inputs
    return [op.reshape_like(op.Gather(x, op.Reshape(indices, [-1]), axis=-1), node.outputs[0])]


@gradient_of("ai.onnx.ml::Binarizer", "ai.onnx.ml::TreeEnsemble")
def thresholds(op: Emitter, node: Node, grad: Tensor) -> list[Gradient]:
    """dx = 0: the outputs are constant between the thresholds."""
    return [None]
