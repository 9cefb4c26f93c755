"""Matrix products with weights of a few bits, as language models are compressed."""

from __future__ import annotations

import numpy as np
import onnx

from ...build.emitter import Emitter
from ...errors import OnnxplainError
from ...graph.node import Node
from ...graph.tensors import Tensor, dtype_of
from ..decompose import decomposition_of


@decomposition_of("com.microsoft::MatMulNBits")
def matmul_nbits(op: Emitter, node: Node) -> list[Tensor]:
    """Y = A @ W^T + bias, W [N, K] = (q - zero point) * scale, one of each for every block of a row.

    The integers q lie several to a byte, the first in the lowest bits: [N, blocks, bytes]; zero points likewise, and
    the middle of the range where there are none.
    """
    a, packed, scales, zeros, order, bias = [*node.inputs, None, None, None][:6]
    bits, block, rows, columns = (node.attrs.get(name, 4) for name in ("bits", "block_size", "N", "K"))
    if order is not None or bits not in (2, 4, 8) or node.attrs.get("weight_prepacked"):
        raise OnnxplainError(
            f"MatMulNBits (node {node.name!r}) has reordered, prepacked or {bits}-bit weights, which have no gradient "
            "here; choose a layer after it"
        )
    blocks = -(-columns // block)
    q = op.Reshape(_unpacked(op, packed, bits), [rows, blocks, -1])
    if zeros is None:
        zero = op.tensor(float(2 ** (bits - 1)), q)
    elif dtype_of(zeros) == onnx.TensorProto.UINT8:
        flat = op.Reshape(_unpacked(op, zeros, bits), [rows, -1])
        zero = op.Unsqueeze(op.Slice(flat, [0], [blocks], [1]), [2])
    else:
        zero = op.cast_like(op.Reshape(zeros, [rows, blocks, 1]), q)
    scale = op.cast_like(op.Reshape(scales, [rows, blocks, 1]), q)
    weight = op.Slice(op.Reshape(op.Mul(op.Sub(q, zero), scale), [rows, -1]), [0], [columns], [1])
    y = op.MatMul(a, op.cast_like(op.Transpose(weight, perm=[1, 0]), a))
    return [y if bias is None else op.Add(y, bias)]


def _unpacked(op: Emitter, packed: Tensor, bits: int) -> Tensor:
    """The integers of packed bytes [..., bytes], as float32 [..., bytes, integers a byte]."""
    octets = op.Unsqueeze(op.Cast(packed, to=onnx.TensorProto.INT32), [-1])
    shifted = op.Div(octets, np.array([2**shift for shift in range(0, 8, bits)], np.int32))
    return op.Cast(op.Mod(shifted, np.array(2**bits, np.int32)), to=onnx.TensorProto.FLOAT)
