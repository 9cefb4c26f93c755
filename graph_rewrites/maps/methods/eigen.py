"""Maps of principal components. ONNX has no singular value decomposition: powers of a Gram matrix stand for it."""

from __future__ import annotations

from ...build.emitter import Emitter
from ...graph.tensors import Tensor
from ..explained_tensor import ExplainedTensor
from ..registry import method

# The matrix is raised to the power 2^SQUARINGS: components of 99.99 % of the largest variance are then down to 1e-46.
SQUARINGS = 20


@method("eigen-cam")
def eigen_cam(layer: ExplainedTensor, *, centre: bool = False) -> Tensor:
    """ReLU(A v), v the first right singular vector of the activations [positions, C] (Muhammad and Yeasin 2020).

    It depends on no class. `centre` subtracts each channel's mean over the positions first, as pytorch-grad-cam does.
    """
    return _projection(layer.op, layer.activation, layer.op.Abs(layer.activation), centre)


@method("eigen-grad-cam")
def eigen_grad_cam(layer: ExplainedTensor, *, centre: bool = False) -> Tensor:
    """EigenCAM of gradient times activation, which tells classes apart (pytorch-grad-cam, `EigenGradCAM`)."""
    evidence = layer.op.Mul(layer.gradient, layer.activation)
    return _projection(layer.op, evidence, evidence, centre)


def _projection(op: Emitter, maps: Tensor, towards: Tensor, centre: bool) -> Tensor:
    """The maps [rows, C, *spatial] projected on their first principal component: [rows, 1, *spatial].

    A component's sign is arbitrary; here it is the one with which the map goes along with the sum of `towards` over
    channels.
    """
    flat = op.Reshape(maps, [0, 0, -1])  # [rows, C, positions]
    summed = op.reduce("ReduceSum", op.Reshape(towards, [0, 0, -1]), [1])
    if centre:
        flat = op.Sub(flat, op.reduce("ReduceMean", flat, [2]))
    turned = op.Transpose(flat, perm=[0, 2, 1])
    channels, positions = flat.shape[1:]
    if isinstance(channels, int) and isinstance(positions, int) and positions < channels:
        component = op.MatMul(flat, _first_component(op, op.MatMul(turned, flat)))
    else:
        component = _first_component(op, op.MatMul(flat, turned))
    size = op.Sqrt(op.reduce("ReduceSum", op.Mul(component, component), [1]))
    unit = op.Transpose(op.Div(component, op.divisor(size)), perm=[0, 2, 1])
    projected = op.MatMul(unit, flat)  # [rows, 1, positions]
    agreement = op.reduce("ReduceSum", op.Mul(projected, summed), [2])
    flip = op.Sub(1.0, op.Mul(op.cast_like(op.Less(agreement, 0.0), projected), 2.0))
    spatial = op.sizes(maps, range(2, len(maps.shape)))
    return op.Relu(op.Reshape(op.Mul(projected, flip), op.join([0, 1], spatial)))


def _first_component(op: Emitter, gram: Tensor) -> Tensor:
    """The eigenvector of the largest eigenvalue of symmetric matrices [rows, n, n], not normalised: [rows, n, 1].

    A high power of the matrix is v v^T times a number; of its columns, multiples of v, the longest is taken.
    """
    for _ in range(SQUARINGS):
        gram = op.Div(gram, op.divisor(op.reduce("ReduceMax", op.Abs(gram), [1, 2])))
        gram = op.MatMul(gram, gram)
    longest = op.ArgMax(op.reduce("ReduceSum", op.Mul(gram, gram), [1]), axis=2, keepdims=1)  # [rows, 1, 1]
    column = op.Expand(longest, op.join(op.sizes(gram, [0, 1]), [1]))
    return op.GatherElements(gram, column, axis=2)
