"""Gradients with respect to weights: of every kind of layer, several at once, shared, behind other nodes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.vjp import append_vjp

from ..networks import Array, names_of, run

STEP = 1e-6
rng = np.random.default_rng(0)
X, IDS = rng.normal(size=(2, 3, 6, 6)), np.array([3, 1])
# `kernel` and `bias` stay in the graph as small tensors; `projection` is large enough to be lifted out of it.
WEIGHTS = {
    "kernel": (4, 3, 3, 3),
    "bias": (4,),
    "bn_scale": (4,),
    "bn_bias": (4,),
    "bn_mean": (4,),
    "bn_var": (4,),
    "slope": (4, 1, 1),
    "depthwise": (4, 1, 3, 3),
    "transposed": (4, 2, 2, 2),
    "transposed_bias": (2,),
    "projection": (72, 6),
    "table": (5, 6),
    "ln_scale": (6,),
    "ln_bias": (6,),
    "head": (3, 6),
    "head_bias": (3,),
    "mixing": (6, 2),
}
# `head` is used twice, once behind an Identity; `kernel` and `mixing` stand behind nodes that rearrange them.
BODY = """
    first, second = Split <axis = 0, num_outputs = 2> (kernel)
    joined = Concat <axis = 0> (first, second)
    a = Conv <pads = [1, 1, 1, 1]> (x, joined, bias)
    variance = Exp(bn_var)
    b = BatchNormalization (a, bn_scale, bn_bias, bn_mean, variance)
    c = PRelu (b, slope)
    d = Conv <group = 4, strides = [2, 2], pads = [1, 1, 1, 1]> (c, depthwise)
    e = ConvTranspose <strides = [2, 2]> (d, transposed, transposed_bias)
    f = Flatten (e)
    g = MatMul (f, projection)
    h = Gather (table, ids)
    i = Add (g, h)
    j = LayerNormalization (i, ln_scale, ln_bias)
    same = Identity (head)
    k = Gemm <transB = 1> (j, same, head_bias)
    l = Softmax (k)
    m = MatMul (l, head)
    turned = Transpose (mixing)
    y = Einsum <equation = "ni,ci->nc"> (m, turned)
"""


def weights() -> dict[str, Array]:
    generator = np.random.default_rng(1)
    return {name: generator.normal(size=shape) / 2 for name, shape in WEIGHTS.items()}


def model(dtype: str = "double", inputs_too: bool = False, changed: dict[str, Array] | None = None) -> onnx.ModelProto:
    """The network; `inputs_too` lists its weights among the graph inputs as well, as older exporters did."""
    signature = f"({dtype}[2,3,6,6] x, int64[2] ids) => ({dtype}[2,2] y)"
    parsed = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> g {signature} {{ {BODY} }}')
    kind = np.float64 if dtype == "double" else np.float32
    arrays = {name: value.astype(kind) for name, value in (weights() | (changed or {})).items()}
    parsed.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in arrays.items())
    if inputs_too:
        element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        parsed.graph.input.extend(helper.make_tensor_value_info(n, element, v.shape) for n, v in arrays.items())
    onnx.checker.check_model(parsed, full_check=True)
    return parsed


COTANGENT = rng.normal(size=(2, 2))
FEEDS = {"x": X, "ids": IDS, "y_cotangent": COTANGENT}


def test_the_gradients_of_all_weights_at_once_equal_central_differences() -> None:
    grads = dict(
        zip(WEIGHTS, Float64Session(append_vjp(model(), "y", list(WEIGHTS))).run(None, FEEDS)[1:], strict=True)
    )
    feeds = {"x": X, "ids": IDS}
    for name, value in weights().items():
        assert grads[name].shape == value.shape
        direction = rng.normal(size=value.shape)
        moved = [model(changed={name: value + sign * STEP * direction}) for sign in (1, -1)]
        high, low = (Float64Session(m).run(["y"], feeds)[0] for m in moved)
        slope, terms = np.sum((high - low) / (2 * STEP) * COTANGENT), grads[name] * direction
        # A shift of the mean before a LayerNormalization may cancel: the scale is that of the terms.
        assert abs(terms.sum() - slope) <= 1e-7 * np.abs(terms).sum() + 1e-9, name


def test_inputs_intermediates_and_weights_in_one_sweep_equal_single_ones() -> None:
    wrt = ["x", *WEIGHTS, "d", "m"]
    together = append_vjp(model("float"), "y", wrt)
    assert names_of(together.graph.output) == ["y", *(f"{name}_grad" for name in wrt)]
    feeds = {name: value if name == "ids" else value.astype(np.float32) for name, value in FEEDS.items()}
    grads = run(together, feeds)
    for name in wrt:
        alone = run(append_vjp(model("float"), "y", name), feeds)
        scale = np.abs(alone[f"{name}_grad"]).max()
        np.testing.assert_allclose(grads[f"{name}_grad"], alone[f"{name}_grad"], atol=1e-5 * scale)


@pytest.mark.parametrize("inputs_too", [False, True])
def test_no_weight_is_copied(inputs_too: bool) -> None:
    before, after = model("float", inputs_too), append_vjp(model("float", inputs_too), "y", ["x", *WEIGHTS])
    added = {t.name: t for t in after.graph.initializer if t.name not in WEIGHTS}
    assert sorted(t.name for t in after.graph.initializer if t.name in WEIGHTS) == sorted(WEIGHTS)
    assert max(int(np.prod(t.dims)) for t in added.values()) <= 8
    assert names_of(after.graph.input) == [*names_of(before.graph.input), "y_cotangent"]


def test_a_fed_weight_takes_the_place_of_the_one_in_the_file() -> None:
    session = Float64Session(append_vjp(model(inputs_too=True), "y", "table"))
    others = {name: value for name, value in weights().items() if name != "projection"}
    fed = rng.normal(size=(72, 6))
    (grad,) = session.run(["table_grad"], {**FEEDS, **others, "projection": fed})
    (expected,) = Float64Session(append_vjp(model(changed={"projection": fed}), "y", "table")).run(
        ["table_grad"], FEEDS
    )
    np.testing.assert_allclose(grad, expected, rtol=1e-12)
