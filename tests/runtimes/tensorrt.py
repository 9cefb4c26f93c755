"""The operators of explained models in TensorRT's support matrix; `python -m tests.runtimes.tensorrt` writes them down.

The matrix, `tensorrt_operators.tsv` beside this file, is what NVIDIA says of its parser; nothing here runs TensorRT.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import onnx
from onnx import TensorProto
from onnxplain.engine.embedded import MODEL
from onnxplain.graph_rewrites.maps.registry import METHODS
from onnxplain.graph_rewrites.model.lifted_weights import SMALL_TENSOR_BYTES
from onnxplain.graph_rewrites.rewrite import rewrite

from .architectures import ARCHITECTURES
from .explained import SIZES, methods_of, network

PAGE = Path(__file__).parents[2] / "docs" / "embedding.md"
BEGIN, END = "<!-- tensorrt:begin -->\n", "<!-- tensorrt:end -->\n"
# How the matrix calls the types that explained models compute with.
TYPES: dict[int, str] = {TensorProto.FLOAT: "FP32", TensorProto.INT64: "INT64", TensorProto.BOOL: "BOOL"}


class Support(NamedTuple):
    """For data of which types an operator is taken (of none if it is not), and on what condition."""

    types: frozenset[str]
    condition: str


@cache
def matrix() -> dict[str, Support]:
    """The support matrix by operator."""
    lines = Path(__file__).with_name("tensorrt_operators.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = csv.DictReader(lines, delimiter="\t")
    return {row["op"]: Support(frozenset(filter(None, row["types"].split(","))), row["condition"]) for row in rows}


def explained_models() -> Iterator[onnx.ModelProto]:
    """The embedded model and small networks of other architectures, explained by every method defined for them."""
    for method in METHODS:
        yield rewrite(MODEL, method=method)
    for architecture in ARCHITECTURES:
        for size in SIZES:
            for method in methods_of(architecture):
                yield rewrite(network(architecture, size), method=method)


class Appended(NamedTuple):
    """A node that onnxplain added, the element type of its data, and the names of those inputs that are constant."""

    node: onnx.NodeProto
    element: int
    constants: set[str]


@cache
def appended() -> list[Appended]:
    """What onnxplain added to all of the models."""
    return [added for model in explained_models() for added in _appended(model)]


def _appended(model: onnx.ModelProto) -> Iterator[Appended]:
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > SMALL_TENSOR_BYTES:  # values that no shape comes of, to be copied for nothing
            tensor.ClearField("raw_data")
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.name.startswith("onnxplain/"):
            data = node.input[1 if node.op_type == "Where" else 0]
            yield Appended(node, types[data], constants.intersection(node.input))


def emitted() -> dict[str, set[str]]:
    """The operators that onnxplain added, with the types of their data."""
    found = defaultdict(set)
    for added in appended():
        found[added.node.op_type].add(TYPES[added.element])
    return found


def table() -> str:
    """The emitted operators by what the matrix says of them, one row a verdict."""
    verdicts = defaultdict(list)
    for operator, types in sorted(emitted().items()):
        support = matrix()[operator]
        lacking = sorted(types - support.types)
        verdict = "supported" if not support.condition else f"supported if: {support.condition}"
        verdicts[verdict if not lacking else f"not supported for {', '.join(lacking)}"].append(operator)
    rows = sorted(verdicts.items(), key=lambda row: (row[0] != "supported", row[0]))
    lines = ["| operators that onnxplain adds | in the matrix |", "|---|---|"]
    return "\n".join([*lines, *(f"| {', '.join(operators)} | {verdict} |" for verdict, operators in rows)]) + "\n"


def page() -> str:
    """The page with its table as it should be."""
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
