"""Class activation maps: a layer's feature maps A^k weighted by what the gradient dy^c/dA^k says of them.

A weight, or alpha, is one number per channel; HiResCAM and LayerCAM weigh each element by itself.
"""

from __future__ import annotations

from typing import Literal

from ...build.emitter import Emitter
from ...graph.tensors import Tensor
from ..explained_tensor import ExplainedTensor
from ..registry import method
from .linear_head import require_linear_head

EPSILON = 1e-7  # in place of a zero denominator; pytorch-grad-cam 1.5.7 adds one to every denominator


@method("grad-cam")
def grad_cam(
    layer: ExplainedTensor,
    *,
    relu: bool = True,
    gradients: Literal["signed", "absolute"] = "signed",
    pooling: Literal["mean", "max"] = "mean",
) -> Tensor:
    """ReLU(sum_k alpha_k A^k) with alpha_k the spatial mean of dy^c/dA^k (Selvaraju et al. 2017, eq. 1 and 2).

    The options are the ablations of the paper's supplement: without the final ReLU, absolute gradients, and global
    maximum pooling of the gradients in place of the mean.
    """
    op, slopes = layer.op, layer.gradient
    if gradients == "absolute":
        slopes = op.Abs(slopes)
    alpha = spatial_mean(op, slopes) if pooling == "mean" else op.reduce("ReduceMax", slopes, layer.spatial)
    return _rectified(op, weighted_sum(op, alpha, layer.activation), relu)


@method("counterfactual")
def counterfactual(layer: ExplainedTensor) -> Tensor:
    """Grad-CAM of -y^c: the regions that speak against the class (Selvaraju et al. 2017, section 3.3)."""
    op = layer.op
    return op.Relu(weighted_sum(op, op.Neg(spatial_mean(op, layer.gradient)), layer.activation))


@method("cam")
def cam(layer: ExplainedTensor) -> Tensor:
    """sum_k w_k^c A^k with the weights of the linear layer behind global average pooling (Zhou et al. 2016, eq. 2).

    There w_k^c is the sum of dy^c/dA^k over the positions (Selvaraju et al. 2017, section 3.1): so no weight is read,
    and the model's head is checked to be of that kind instead.

    Raises:
        OnnxplainError: the layer does not lead to the score by averaging and one linear layer.
    """
    require_linear_head(layer)
    op = layer.op
    return weighted_sum(op, op.reduce("ReduceSum", layer.gradient, layer.spatial), layer.activation)


@method("grad-cam++")
def grad_cam_plus_plus(layer: ExplainedTensor) -> Tensor:
    """ReLU(sum_k w_k A^k), w_k = sum_ij a_ij ReLU(g_ij), a = g^2 / (2 g^2 + sum(A^k) g^3) (Chattopadhay 2018, eq. 19).

    The paper explains exp(y^c), whose factor in w_k is left out: it is the same for all k, and overflows.
    """
    op, slopes = layer.op, layer.gradient
    square = op.Mul(slopes, slopes)
    total = op.reduce("ReduceSum", layer.activation, layer.spatial)
    share = op.Div(square, _nonzero(op, op.Add(op.Mul(square, 2.0), op.Mul(total, op.Mul(square, slopes)))))
    alpha = op.reduce("ReduceSum", op.Mul(share, op.Relu(slopes)), layer.spatial)
    return op.Relu(weighted_sum(op, alpha, layer.activation))


@method("xgrad-cam")
def xgrad_cam(layer: ExplainedTensor) -> Tensor:
    """ReLU(sum_k w_k A^k), w_k = sum_ij g_ij A_ij / sum_ij A_ij (Fu et al. 2020)."""
    op = layer.op
    total = op.reduce("ReduceSum", layer.activation, layer.spatial)
    weighed = op.reduce("ReduceSum", op.Mul(layer.gradient, layer.activation), layer.spatial)
    return op.Relu(weighted_sum(op, op.Div(weighed, _nonzero(op, total)), layer.activation))


@method("hires-cam")
def hires_cam(layer: ExplainedTensor, *, relu: bool = True) -> Tensor:
    """ReLU(sum_k g^k * A^k), element by element (Draelos and Carin 2020, who take no ReLU)."""
    op = layer.op
    return _rectified(op, op.reduce("ReduceSum", op.Mul(layer.gradient, layer.activation), [1]), relu)


@method("layer-cam")
def layer_cam(layer: ExplainedTensor) -> Tensor:
    """ReLU(sum_k ReLU(g^k) * A^k), element by element (Jiang et al. 2021)."""
    op = layer.op
    return op.Relu(op.reduce("ReduceSum", op.Mul(op.Relu(layer.gradient), layer.activation), [1]))


def spatial_mean(op: Emitter, tensor: Tensor) -> Tensor:
    """The mean over the spatial axes, kept with size 1: [rows, C, *spatial] to [rows, C, 1, ...].

    Behind global average pooling a gradient is one value per channel, expanded: that value is its mean.
    """
    maker = tensor.inputs[0] if tensor.inputs else None
    if maker is not None and maker.op == "Expand":
        value = maker.inputs[0]
        kept = [*tensor.shape[:2], *[1] * (len(tensor.shape) - 2)]
        if None not in kept and list(value.shape or []) == kept:
            return value
    return op.reduce("ReduceMean", tensor, range(2, len(tensor.shape)))


def weighted_sum(op: Emitter, alpha: Tensor, activation: Tensor) -> Tensor:
    """sum_k alpha_k A^k: [rows, C, 1, ...] and [rows, C, *spatial] to [rows, 1, *spatial]."""
    # As a matrix product: on the CPU half the time of a product and a sum over channels.
    weighted = op.MatMul(op.Reshape(alpha, [0, 1, -1]), op.Reshape(activation, [0, 0, -1]))
    return op.Reshape(weighted, op.join([0, 1], op.sizes(activation, range(2, len(activation.shape)))))


def _rectified(op: Emitter, tensor: Tensor, relu: bool) -> Tensor:
    return op.Relu(tensor) if relu else tensor


def _nonzero(op: Emitter, tensor: Tensor) -> Tensor:
    """The denominator, with a small number in place of each zero."""
    return op.Add(tensor, op.Mul(op.cast_like(op.is_zero(tensor), tensor), EPSILON))
