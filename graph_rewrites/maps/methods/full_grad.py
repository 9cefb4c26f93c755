"""FullGrad: the input and every bias, each times the gradient there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import onnx_graphsurgeon as gs

from ...build.emitter import Emitter
from ...graph.reachability import tensors_between
from ...graph.tensors import FLOAT32, Tensor
from ...targets.axes import layout
from ...targets.grid import Grid
from ...targets.layers import adds_a_bias
from ..explained_tensor import ExplainedTensor
from ..heatmap import at_input_size
from ..registry import method


@method("full-grad", at="model")
def full_grad(image: ExplainedTensor) -> Tensor:
    """psi(x dy/dx) + the sum over layers and channels of psi(b dy/dz) (Srinivas and Fleuret 2019).

    psi takes magnitudes, brings each layer's to [0, 1] and to the input's size. A layer's bias is that of a
    convolution, what batch normalisation adds, or a constant that is added to feature maps.
    """
    op, backward = image.op, image.backward
    biases = list(_biases(image))
    grads = backward.gradients([image.rows.name, *(layer.name for layer, _ in biases)])
    total = _rescaled_sum(op, op.Mul(image.activation, image.gradient))
    for layer, bias in biases:
        grad = grads[layer.name]
        if grad is not None:
            contribution = Grid(layout(layer)).maps(op, op.Mul(grad, op.cast_like(bias(), grad)))
            magnitude = _rescaled_sum(op, op.cast_like(contribution, FLOAT32))
            total = op.Add(total, at_input_size(op, magnitude, image.size, image.places[layer.name]))
    return total


def _rescaled_sum(op: Emitter, maps: Tensor) -> Tensor:
    """Magnitudes [rows, C, *spatial], brought to [0, 1] in each row, summed over channels: [rows, 1, *spatial]."""
    axes = range(1, len(maps.shape))
    magnitude = op.Abs(maps)
    raised = op.Sub(magnitude, op.reduce("ReduceMin", magnitude, axes))
    peak = op.reduce("ReduceMax", raised, axes)
    return op.reduce("ReduceSum", op.Div(raised, op.divisor(peak)), [1])


def _biases(image: ExplainedTensor) -> Iterator[tuple[Tensor, Callable[[], Tensor]]]:
    """The feature maps on the way to the score that a bias is added to, and how to emit it, [C, 1, ...]."""
    op = image.op
    path = tensors_between(image.backward.nodes, [image.rows.name], [image.backward.scores.name])
    rank = len(image.rows.shape)
    for node in image.backward.nodes:
        out = node.outputs[0]
        if not adds_a_bias(node, path) or len(out.shape or []) != rank or out.name not in image.places:
            continue
        if node.op == "BatchNormalization":
            yield out, partial(_shift, op, node, rank)
        elif node.op == "Add":
            (constant,) = (tensor for tensor in node.inputs if tensor.name not in path)
            yield out, partial(op.Identity, constant)
        else:
            yield out, partial(_over_channels, op, node.inputs[2], rank)


def _shift(op: Emitter, node: gs.Node, rank: int) -> Tensor:
    """What batch normalisation adds: bias - mean * scale / sqrt(variance + epsilon), [C, 1, ...]."""
    _, scale, bias, mean, variance = node.inputs
    deviation = op.Sqrt(op.Add(variance, node.attrs.get("epsilon", 1e-5)))
    return _over_channels(op, op.Sub(bias, op.Div(op.Mul(mean, scale), deviation)), rank)


def _over_channels(op: Emitter, vector: Tensor, rank: int) -> Tensor:
    return op.Reshape(vector, [-1, *[1] * (rank - 2)])
