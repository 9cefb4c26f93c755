"""Scores that are models of their own, joined onto the outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, parser
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.rewrite import rewrite

from ...messages import assert_one_line
from ...networks import Net, explain, images, names_of, run

TARGET = [[0, 2], [1, -1]]


def detector(second: bool = False) -> onnx.ModelProto:
    """`boxes` [N, 7, 64] and, if asked, `logits` [N, 3]; the names of its nodes clash with those of the scorers."""
    net = Net(seed=3)
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer")
    y = net.add("Reshape", net.conv(x, 4, 7), net.const([0, 7, 64], np.int64), out="best", name="c")
    net.output(net.add("Identity", y, out="boxes"), ["N", 7, 64])
    if second:
        net.output(net.head(x, 4, 3), ["N", 3])
    return net.model()


def scorer(body: str, inputs: str = "float[N,7,64] boxes", opset: str = '"" : 17', end: str = "") -> onnx.ModelProto:
    text = f"<ir_version: 8, opset_import: [{opset}]> scorer ({inputs}) => (float[N,3] y) {{ {body} }} {end}"
    return parser.parse_model(text)


SLICE = "a = Constant<value_ints=[4]>() b = Constant<value_ints=[7]>() i = Constant<value_ints=[1]>() "
BEST = SLICE + "c = Slice(boxes, a, b, i) best = ReduceMax<axes=[2], keepdims=0>(c) y = Identity(best)"


@pytest.mark.parametrize(
    "joined",
    [
        scorer(BEST),
        scorer(BEST.replace("boxes", "whatever"), "float[N,7,64] whatever"),  # the only input, of the only output
        scorer(
            (SLICE + "m = Constant<value_ints=[2]>()").replace("value_ints=[", "value=int64[1] {").replace("]>", "}>")
            + "c = Slice(boxes, a, b, i) y = ReduceMax<keepdims=0>(c, m)",
            opset='"" : 18',
        ),
        scorer(BEST, opset='"" : 13'),
        scorer(
            "c = own.cut(boxes) y = ReduceMax<axes=[2], keepdims=0>(c)",
            opset='"" : 17, "own" : 1',
            end=(
                f'<domain: "own", opset_import: ["" : 17]> cut (boxes) => (c) {{ {SLICE} c = Slice(boxes, a, b, i) }}'
            ),
        ),
    ],
    ids=["by name", "single input", "newer opset", "older opset", "model-local function"],
)
def test_a_joined_model_is_the_score(joined: onnx.ModelProto, tmp_path: Path) -> None:
    model = detector()
    feeds = images(model)
    classes = run(model, feeds)["boxes"][:, 4:].max(axis=2)
    by_expression = explain(rewrite(model, layers="layer", score="max(boxes[:, 4:], axis=2)"), feeds, TARGET)
    onnx.save(joined, tmp_path / "scorer.onnx")
    for source in (joined, tmp_path / "scorer.onnx", str(tmp_path / "scorer.onnx")):
        explained = rewrite(model, layers="layer", score=source, outputs=["score", "cam", "heatmap", "logits"])
        assert {node.domain for node in explained.graph.node} == {""}
        got = explain(explained, feeds, TARGET)
        np.testing.assert_allclose(got["logits"], classes, rtol=1e-5)
        for name in ("score", "cam", "heatmap"):
            np.testing.assert_allclose(got[name], by_expression[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert (read_metadata(explained) or {})["score"]["expression"] == "joined model"


def test_a_joined_model_may_take_several_outputs_and_give_one_score() -> None:
    """y = max(boxes) * logits[:, 0], of shape [N]."""
    model = detector(second=True)
    product = scorer(
        "a = Constant<value_int=0>() l = Gather<axis=1>(logits, a) m = ReduceMax<axes=[1, 2], keepdims=0>(boxes) "
        "y = Mul(m, l)",
        "float[N,7,64] boxes, float[N,3] logits",
    )
    product.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"]))
    feeds = images(model)
    plain = run(model, feeds)
    got = explain(rewrite(model, layers="layer", score=product), feeds, [[0], [-1]])
    expected = plain["boxes"].max(axis=(1, 2)) * plain["logits"][:, 0]
    np.testing.assert_allclose(got["score"][:, 0], expected, rtol=1e-5)


def test_weights_of_a_joined_model_come_along() -> None:
    """Small and large ones, also where the file lists them as inputs, as older exporters do."""
    net = Net(seed=9)
    flat = net.add("Flatten", net.input("boxes", ["N", 7, 64]))
    net.output(net.add("Gemm", flat, net.random(448, 3, name="weights"), net.random(3, name="bias"), out="y"), ["N", 3])
    joined, model = net.model(), detector()
    feeds = images(model)
    expected = run(joined, {"boxes": run(model, feeds)["boxes"]})["y"]
    for _ in range(2):
        explained = rewrite(model, layers="layer", score=joined, outputs=["score", "logits"])
        assert names_of(explained.graph.input) == ["image", "target"]
        np.testing.assert_allclose(explain(explained, feeds, TARGET)["logits"], expected, rtol=1e-4, atol=1e-5)
        joined.graph.input.extend(
            onnx.helper.make_tensor_value_info(t.name, TensorProto.FLOAT, t.dims) for t in joined.graph.initializer
        )


TWO_OUTPUTS = scorer(BEST)
TWO_OUTPUTS.graph.output.append(onnx.helper.make_tensor_value_info("best", TensorProto.FLOAT, ["N", 3]))
REFUSED: dict[str, tuple[onnx.ModelProto, type[OnnxplainError], str]] = {
    "two outputs": (TWO_OUTPUTS, OnnxplainError, "scorer: a scoring model has one output, not 2"),
    "unknown input": (
        scorer("y = Relu(box)", "float[N,7,64] box"),
        UsageError,
        "scorer: its input 'box' is no output of the model; did you mean 'boxes'",
    ),
    "no scores": (
        scorer("y = Relu(boxes)"),
        OnnxplainError,
        "scorer: its output has shape ['N', 7, 64], not one score",
    ),
    "an opset that cannot be lowered": (
        scorer("m = Constant<value_ints=[2]>() y = ReduceMax<keepdims=0>(boxes, m)", opset='"" : 18'),
        OnnxplainError,
        "scorer: opset 18 cannot be brought to 17; export it so",
    ),
    "another domain": (
        scorer("y = com.microsoft.Gelu(logits)", "float[N,3] logits", '"" : 20, "com.microsoft" : 1'),
        OnnxplainError,
        "scorer: operator com.microsoft::Gelu is not standard ONNX; write the scoring model without it",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_cannot_be_joined_is_refused(name: str) -> None:
    joined, kind, message = REFUSED[name]
    with pytest.raises(OnnxplainError) as error:
        rewrite(detector(second=True), layers="layer", score=joined)
    assert type(error.value) is kind
    assert_one_line(error, message)


def test_files_that_are_no_scoring_models(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        rewrite(detector(), score=tmp_path / "score.txt")
    assert_one_line(error, "a score given as a file is an ONNX model; give one that ends in .onnx")
    with pytest.raises(OnnxplainError) as missing:
        rewrite(detector(), score=tmp_path / "score.onnx")
    assert_one_line(missing, "score.onnx")
