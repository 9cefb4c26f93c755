"""How much memory a model's feature maps take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from ..graph.node import used_tensors
from ..graph.tensors import Tensor, dtype_of, is_static
from .model import read


def peak_bytes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> int:
    """The most bytes that tensors between nodes take at a time, for inputs of the given shapes; weights not counted.

    Tensors whose size inference cannot tell are left out, so this is an estimate from below.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        if value.name in shapes:
            sizes = value.type.tensor_type.shape
            del sizes.dim[:]
            for size in shapes[value.name]:
                sizes.dim.add().dim_value = size
    del fixed.graph.value_info[:]
    graph = read(fixed).graph
    last_use = {tensor.name: index for index, node in enumerate(graph.nodes) for tensor in used_tensors(node)}
    live: dict[str, int] = {}
    peak = 0
    for index, node in enumerate(graph.nodes):
        live.update({tensor.name: _bytes(tensor) for tensor in node.outputs})
        peak = max(peak, sum(live.values()))
        for name in [name for name in live if last_use.get(name, -1) <= index]:
            del live[name]
    return peak


def _bytes(tensor: Tensor) -> int:
    if not is_static(tensor) or not dtype_of(tensor):
        return 0
    size = onnx.helper.tensor_dtype_to_np_dtype(dtype_of(tensor)).itemsize
    for axis in tensor.shape:
        size *= axis
    return int(size)
