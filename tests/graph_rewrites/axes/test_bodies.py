"""Axes are followed through the bodies of If, Loop and Scan, and so is what touches what there."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import parser
from onnxplain.graph_rewrites.axes.labels import only_source
from onnxplain.graph_rewrites.axes.trace import trace_axes
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.model.model import read
from onnxplain.graph_rewrites.rewrite import rewrite

from ..networks import explain, f32

# What becomes of `p` [N, 4], each row an image's; {mean} is "ReduceMean<axes = [0]>" where images touch each other.
BODIES = {
    "If": """
        yes = Constant<value = bool {{1}}> ()
        q = If (yes) <
            then_branch = a () => (float[N, 4] q1) {{ q1 = Relu(p) }},
            else_branch = b () => (float[N, 4] q2) {{ m = {step}(p) q2 = Sub(p, m) }}>
    """,
    "Loop, carried": """
        q = Loop (three, , p) <
            body = b (int64 i, bool c, float[N, 4] h) => (bool c2, float[N, 4] h2) {{
                c2 = Identity(c) m = {step}(h) h2 = Sub(h, m) }}>
    """,
    "Loop, inner If": """
        q = Loop (three, , p) <
            body = b (int64 i, bool c, float[N, 4] h) => (bool c2, float[N, 4] h2) {{
                c2 = Identity(c)
                h2 = If (c) <
                    then_branch = d () => (float[N, 4] q1) {{ m = {step}(h) q1 = Sub(h, m) }},
                    else_branch = e () => (float[N, 4] q2) {{ q2 = Tanh(h) }}> }}>
    """,
    "Scan over channels": """
        turned = Transpose<perm = [1, 0]>(p)
        last, back = Scan<num_scan_inputs = 1, body = b (float[N] h, float[N] e) => (float[N] h2, float[N] s) {{
            m = {step}(e) h2 = Add(h, m) s = Sub(e, h2) }}> (nothing, turned)
        q = Transpose<perm = [1, 0]>(back)
    """,
}


def model(name: str, step: str) -> onnx.ModelProto:
    body = BODIES[name].format(step=step)
    return parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[N, 3, 8, 8] image) => (float[N, 5] out) <int64 three = {{3}}> {{
            features = Conv<pads = [1, 1, 1, 1]> (image, w)
            layer = Relu (features)
            p = ReduceMean<axes = [2, 3], keepdims = 0> (layer)
            first = ReduceMean<axes = [1], keepdims = 0> (p)
            nothing = Sub (first, first)
            {body}
            out = MatMul (q, v)
        }}""")


def with_weights(made: onnx.ModelProto) -> onnx.ModelProto:
    rng = np.random.default_rng(4)
    for name, shape in (("w", (4, 3, 3, 3)), ("v", (4, 5))):
        made.graph.initializer.append(onnx.numpy_helper.from_array(f32(rng.normal(size=shape)), name))
    onnx.checker.check_model(made)
    return made


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("touches", [False, True], ids=["apart", "touching"])
def test_samples_are_followed_through_bodies(name: str, touches: bool) -> None:
    made = with_weights(model(name, "ReduceMean<axes = [0]>" if touches else "Neg"))
    work = read(made)
    trace = trace_axes(work)
    out = work.graph.tensors()["out"]
    (batch,) = (
        source
        for source in {only_source(label) for label in trace.of(work.graph.tensors()["layer"])}
        if source and source.axis == 0
    )
    assert only_source(trace.of(out)[0]) == batch
    by = trace.mixed(out, batch)
    assert (by.op if by else None) == ("ReduceMean" if touches else None)
    if touches:
        with pytest.raises(OnnxplainError, match="puts the images of a batch together"):
            rewrite(made)
        return
    feeds = {"image": f32(np.random.default_rng(5).normal(size=(2, 3, 8, 8)))}
    together = explain(rewrite(made), feeds, [[1, 3]] * 2)
    alone = [explain(rewrite(made), {"image": feeds["image"][row : row + 1]}, [[3]])["cam"] for row in (0, 1)]
    np.testing.assert_allclose(together["cam"][:, 1:], np.concatenate(alone), rtol=1e-4, atol=1e-6)


def test_a_scan_over_samples_with_a_state_touches_them() -> None:
    made = with_weights(model("Scan over channels", "Neg"))
    for node in made.graph.node:
        if node.op_type == "Transpose":
            node.op_type = "Identity"
            del node.attribute[:]
        for attribute in node.attribute:
            for value in (*attribute.g.input, *attribute.g.output):
                value.type.tensor_type.shape.dim[0].Clear()
                value.type.tensor_type.shape.dim[0].dim_value = 4
    made.graph.node[3].input[0] = "p"
    nothing = made.graph.node[4]
    nothing.op_type, nothing.input[:] = "ReduceSum", ["difference", "axis"]
    nothing.attribute.append(onnx.helper.make_attribute("keepdims", 0))
    made.graph.node.insert(4, onnx.helper.make_node("Sub", ["p", "p"], ["difference"]))
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "axis"))
    onnx.checker.check_model(made)
    work = read(made)
    trace = trace_axes(work)
    (batch,) = (
        source for source in map(only_source, trace.of(work.graph.tensors()["layer"])) if source and source.axis == 0
    )
    back = work.graph.tensors()["back"]
    assert only_source(trace.of(back)[0]) == batch
    by = trace.mixed(back, batch)
    assert by is not None
