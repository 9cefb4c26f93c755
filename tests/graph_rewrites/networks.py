"""Small networks with seeded weights, and ONNX Runtime to run them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxplain.graph_rewrites.model.metadata import read_metadata

Array = np.ndarray
Shape = Sequence[int | str | None]
ALL = ("score", "cam", "heatmap", "activation", "gradient", "logits")


def f32(values: Any) -> Array:
    """The values as a float32 array."""
    return np.asarray(values, np.float32)


class Net:
    """Builds a graph node by node; methods return tensor names."""

    def __init__(self, opset: int = 17, seed: int = 0) -> None:
        self.opset = opset
        self.rng = np.random.default_rng(seed)
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def input(self, name: str, shape: Shape, dtype: int = TensorProto.FLOAT) -> str:
        """A graph input."""
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name: str, shape: Shape | None = None, dtype: int = TensorProto.FLOAT) -> str:
        """A graph output."""
        self.outputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def const(self, values: Any, dtype: type = np.float32, name: str = "") -> str:
        """An initializer with these values."""
        name = name or f"w{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def random(self, *shape: int, dtype: type = np.float32, name: str = "") -> str:
        """A normal initializer, scaled by the square root of its fan-in."""
        scale = np.sqrt(max(1, int(np.prod(shape[1:]))))
        return self.const(self.rng.normal(size=shape) / scale, dtype, name)

    def add(self, op: str, *inputs: str, out: str = "", name: str = "", domain: str = "", **attrs: Any) -> str:
        """One node; its output's name."""
        out = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], name=name, domain=domain, **attrs))
        return out

    def conv(self, x: str, c_in: int, c_out: int, size: int = 3, rank: int = 2, **attrs: Any) -> str:
        """A convolution that keeps the spatial size, with a bias."""
        pads = [size // 2] * (2 * rank)
        weight, bias = self.random(c_out, c_in, *[size] * rank), self.const(self.rng.normal(size=c_out) / 4)
        return self.add("Conv", x, weight, bias, **({"pads": pads} | attrs))

    def head(self, x: str, channels: int, classes: int, out: str = "logits") -> str:
        """Global average pooling and one linear layer."""
        pooled = self.add("Flatten", self.add("GlobalAveragePool", x), axis=1)
        return self.add("Gemm", pooled, self.random(classes, channels), self.random(classes), transB=1, out=out)

    def model(self, ir_version: int = 8, domains: Sequence[str] = ()) -> onnx.ModelProto:
        """The checked model."""
        graph = helper.make_graph(self.nodes, "net", self.inputs, self.outputs, self.initializers)
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def small_cnn(
    batch: int | str | None = "N",
    size: Sequence[int | str] = (8, 8),
    *,
    opset: int = 17,
    classes: int = 5,
    squash: str | None = None,
    seed: int = 0,
) -> onnx.ModelProto:
    """Conv, Relu, MaxPool, Conv, Relu, GlobalAveragePool, Gemm: `image` [batch, 3, *size] to `logits`."""
    rank = len(size)
    net = Net(opset, seed)
    x = net.input("image", [batch, 3, *size])
    x = net.add("Relu", net.conv(x, 3, 4, rank=rank), out="relu1")
    x = net.add("MaxPool", x, kernel_shape=[2] * rank, strides=[2] * rank, out="pool1")
    x = net.add("Relu", net.conv(x, 4, 6, rank=rank), out="relu2", name="last_relu")
    x = net.head(x, 6, classes)
    if squash:
        x = net.add(squash, x, out="probabilities")
    net.output(x, [batch, classes])
    return net.model()


def residual_cnn(batch: int | str = "N") -> onnx.ModelProto:
    """A stem and one residual block: stem -> (conv_a, relu_a, conv_b) + stem -> relu_out -> head; 2 more outputs."""
    net = Net(seed=5)
    x = net.input("image", [batch, 3, 8, 8])
    stem = net.add("Relu", net.conv(x, 3, 4), out="stem")
    branch = net.add("Relu", net.conv(stem, 4, 4), out="branch_relu")
    total = net.add("Add", net.conv(branch, 4, 4), stem, out="sum")
    out = net.add("Relu", total, out="block")
    net.output(net.head(out, 4, 5), [batch, 5])
    return net.model()


def images(model: onnx.ModelProto, n: int = 2, side: int = 8, seed: int = 1) -> dict[str, Array]:
    """Normal random values for every input but `target`; open sizes become n (the first axis) or `side`."""
    rng = np.random.default_rng(seed)
    weights = {tensor.name for tensor in model.graph.initializer}
    feeds = {}
    for value in model.graph.input:
        kind = value.type.tensor_type
        if value.name in weights or kind.elem_type == TensorProto.INT64:
            continue
        shape = [d.dim_value or (side if axis else n) for axis, d in enumerate(kind.shape.dim)]
        feeds[value.name] = rng.normal(size=shape).astype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return feeds


def run(
    model: onnx.ModelProto | str, feeds: dict[str, Array], check: bool = True, optimised: bool = True
) -> dict[str, Array]:
    """All outputs by ONNX Runtime on the CPU; the model is checked in full before."""
    if check and isinstance(model, onnx.ModelProto):
        onnx.checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, str) else model.SerializeToString()
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def explain(
    model: onnx.ModelProto, feeds: dict[str, Array], target: Any = None, optimised: bool = True
) -> dict[str, Array]:
    """Runs an explained model (default target: the top class) and adds its outputs under their logical names."""
    names = (read_metadata(model) or {})["names"]
    rows = next(iter(feeds.values())).shape[0]
    wanted = np.full((rows, 1), -1, np.int64) if target is None else np.asarray(target, np.int64)
    results = run(model, {**feeds, names["target"]: wanted}, optimised=optimised)
    return results | {logical: results[actual] for logical, actual in names.items() if actual in results}


def names_of(values: Sequence[onnx.ValueInfoProto]) -> list[str]:
    """The names of graph inputs or outputs."""
    return [value.name for value in values]


def described(values: list[onnx.ValueInfoProto]) -> dict[str, tuple[int, list[int | str]]]:
    """Element type and sizes by name."""
    return {
        v.name: (v.type.tensor_type.elem_type, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim])
        for v in values
    }
