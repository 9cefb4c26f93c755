"""Ranks that depend on sizes, conditions and splits which are known or unknown before run time."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnxplain.graph_rewrites.inference.shape_inference import infer_shapes


def shapes(text: str) -> dict[str, list[Any]]:
    """The inferred shapes by name, of a model in onnx's text form."""
    model = infer_shapes(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]>\n{text}'))
    values = (*model.graph.value_info, *model.graph.output)
    dims = {v.name: v.type.tensor_type.shape.dim for v in values if v.type.tensor_type.HasField("shape")}
    return {name: [d.dim_value or d.dim_param or None for d in shape] for name, shape in dims.items()}


def test_a_slice_of_known_sizes_is_a_shape() -> None:
    found = shapes("""g (float[2, 3, 4] x, float[3, 1] z) => (float[] y) {
        one = Constant <value = int64[1] {1}> ()
        zero = Constant <value = int64[1] {0}> ()
        sizes = Shape (x)
        count = Size (sizes)
        end = Unsqueeze (count, zero)
        kept = Slice (sizes, one, end)
        y = Expand (z, kept)
    }""")
    assert found["y"] == [3, 4]


def test_parts_of_unknown_sizes_keep_the_rank() -> None:
    found = shapes("""g (float[2, N, 4] x, int64[2] parts) => (float[] y) {
        a, b = Split <axis = 1> (x, parts)
        y = Relu (b)
    }""")
    assert len(found["y"]) == 3
    assert (found["y"][0], found["y"][2]) == (2, 4)


@pytest.mark.parametrize(("size", "expected"), [(4, [3, 4]), (5, [3, 5, 1])])
def test_the_branch_of_a_known_condition_is_followed(size: int, expected: list[int]) -> None:
    found = shapes(f"""g (float[3, {size}] x) => (float[] y) {{
        four = Constant <value = int64 {{4}}> ()
        two = Constant <value = int64[1] {{2}}> ()
        width = Shape <start = 1> (x)
        is_four = Equal (width, four)
        y = If (is_four) <
            then_branch = same () => (float[] same_out) {{ same_out = Identity (x) }},
            else_branch = wide () => (float[] wide_out) {{ wide_out = Unsqueeze (x, two) }}
        >
    }}""")
    assert found["y"] == expected


def test_what_is_known_already_is_left_alone() -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 18]>
    g (float[2, 3] x) => (float[2, 3] y) {
        sizes = Shape (x)
        y = Reshape (x, sizes)
    }""")
    assert [node.op_type for node in infer_shapes(model).graph.node] == ["Shape", "Reshape"]


def test_a_long_constant_is_not_evaluated() -> None:
    """Range and Where over many elements make masks, not shapes."""
    nodes = [
        helper.make_node("Constant", [], ["zero"], value_int=0),
        helper.make_node("Constant", [], ["one"], value_int=1),
        helper.make_node("Constant", [], ["count"], value_int=1000),
        helper.make_node("Range", ["zero", "count", "one"], ["long"]),
    ]
    graph = helper.make_graph(nodes, "g", [], [helper.make_tensor_value_info("long", onnx.TensorProto.INT64, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    (value,) = infer_shapes(model).graph.output
    assert [d.dim_value for d in value.type.tensor_type.shape.dim] == [1000]
    assert np.dtype(np.int64) == helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
