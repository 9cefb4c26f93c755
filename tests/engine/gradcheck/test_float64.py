"""Every replacement operator of the float64 runtime against ONNX Runtime in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper
from onnxplain.engine.gradcheck.float64.movement import MOVEMENT
from onnxplain.engine.gradcheck.float64.operators import REPLACEMENTS
from onnxplain.engine.gradcheck.float64.session import Float64Session

rng = np.random.default_rng(0)
SETTINGS = settings(max_examples=80, deadline=None, derandomize=True)


def check(
    op: str, inputs: list[np.ndarray], attrs: dict[str, Any] | None = None, outputs: int = 1, opset: int = 19
) -> None:
    """Both runtimes on one node, float64 inputs in the runtime's precision; what ONNX Runtime refuses is not judged."""
    names = [f"x{i}" for i in range(len(inputs))]

    def model(dtype: type) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
        feeds = {n: x.astype(dtype) if x.dtype == np.float64 else x for n, x in zip(names, inputs, strict=True)}
        infos = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for n, x in feeds.items()
        ]
        results = [f"y{i}" for i in range(outputs)]
        node = helper.make_node(op, names, results, **(attrs or {}))
        graph = helper.make_graph([node], op, infos, [onnx.ValueInfoProto(name=name) for name in results])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
        return onnx.shape_inference.infer_shapes(made), feeds

    made, feeds = model(np.float32)
    try:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        session = ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
        expected = session.run(None, feeds)
    except Exception:  # attributes beyond what ONNX Runtime computes
        assume(False)
    made, feeds = model(np.float64)
    for actual, reference in zip(Float64Session(made).run(None, feeds), expected, strict=True):
        assert actual.shape == reference.shape
        np.testing.assert_allclose(actual, reference, rtol=2e-5, atol=2e-5)


@st.composite
def windows(draw: st.DrawFn, pool: bool = False) -> dict[str, Any]:
    """Sizes and attributes of a sliding window along one, two or three axes."""
    axes = draw(st.integers(1, 3))

    def ints(low: int, high: int, count: int = axes) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    chosen: dict[str, Any] = {"kernel_shape": ints(1, 4)}
    chosen |= {"strides": ints(1, 3)} if draw(st.booleans()) else {}
    chosen |= {"dilations": ints(1, 2)} if draw(st.booleans()) else {}
    reach = [(k - 1) * max(chosen.get("dilations", [1])) + 1 for k in chosen["kernel_shape"]]
    chosen["sizes"] = [r + extra for r, extra in zip(reach, ints(0, 6), strict=True)]
    auto_pad = draw(st.sampled_from(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if auto_pad != "NOTSET":
        # ONNX Runtime's pools forget dilations when they compute SAME padding (outputs come out too small), and crop
        # where strides skip inputs between windows (its Conv, like TensorFlow, does not).
        if pool and auto_pad.startswith("SAME"):
            chosen.pop("dilations", None)
            strides = chosen.get("strides", chosen["kernel_shape"])
            chosen["strides"] = [min(s, k) for s, k in zip(strides, chosen["kernel_shape"], strict=True)]
        return chosen | {"auto_pad": auto_pad}
    if draw(st.booleans()):
        chosen["pads"] = [min(p, k - 1) for p, k in zip(ints(0, 3, 2 * axes), 2 * chosen["kernel_shape"], strict=True)]
    return chosen


@SETTINGS
@given(windows(), st.sampled_from([(1, 1, 1), (1, 3, 2), (2, 2, 1), (3, 1, 1), (3, 1, 2)]), st.booleans())
def test_conv(chosen: dict[str, Any], channels: tuple[int, int, int], bias: bool) -> None:
    group, inputs, outputs = channels
    sizes = chosen.pop("sizes")
    x = rng.normal(size=(2, group * inputs, *sizes))
    w = rng.normal(size=(group * outputs, inputs, *chosen["kernel_shape"]))
    check("Conv", [x, w, rng.normal(size=group * outputs)][: 2 + bias], {**chosen, "group": group})


@SETTINGS
@given(
    windows(),
    st.sampled_from([(1, 1, 1), (1, 3, 2), (2, 2, 1), (3, 1, 1), (3, 1, 2)]),
    st.booleans(),
    st.booleans(),
    st.integers(-1, 6),
)
def test_conv_transpose(
    chosen: dict[str, Any], channels: tuple[int, int, int], bias: bool, output_padding: bool, larger: int
) -> None:
    group, inputs, outputs = channels
    sizes = chosen.pop("sizes")
    strides = chosen.get("strides", [1] * len(sizes))
    # ONNX Runtime and the specification disagree on SAME padding where kernels do not reach the next input.
    reaches = all(s <= k for s, k in zip(strides, chosen["kernel_shape"], strict=True))
    assume(reaches or not chosen.get("auto_pad", "").startswith("SAME"))
    if output_padding:
        chosen["output_padding"] = [s - 1 for s in strides]
    if larger >= 0:  # output_shape fixes the padding
        reach = [(k - 1) * d for k, d in zip(chosen["kernel_shape"], chosen.get("dilations", [1] * 3), strict=False)]
        room = [min(larger, r) for r in reach]
        chosen["output_shape"] = [s * (n - 1) + 1 + r for n, s, r in zip(sizes, strides, room, strict=True)]
        chosen.pop("pads", None)
    x = rng.normal(size=(2, group * inputs, *sizes))
    w = rng.normal(size=(group * inputs, outputs, *chosen["kernel_shape"]))
    check("ConvTranspose", [x, w, rng.normal(size=group * outputs)][: 2 + bias], {**chosen, "group": group})


@SETTINGS
@given(windows(pool=True), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_max_pool(chosen: dict[str, Any], ceil: bool, column_major: bool, indices: bool, ties: bool) -> None:
    x = rng.normal(size=(2, 3, *chosen.pop("sizes")))
    chosen["ceil_mode"] = int(ceil and "auto_pad" not in chosen)
    check("MaxPool", [np.round(x) if ties else x], {**chosen, "storage_order": int(column_major)}, 1 + indices)


@SETTINGS
@given(windows(pool=True), st.booleans(), st.booleans(), st.sampled_from([17, 19]))
def test_average_pool(chosen: dict[str, Any], ceil: bool, count_include_pad: bool, opset: int) -> None:
    x = rng.normal(size=(2, 3, *chosen.pop("sizes")))
    chosen["ceil_mode"] = int(ceil and "auto_pad" not in chosen)
    if opset < 19:
        chosen.pop("dilations", None)
    check("AveragePool", [x], {**chosen, "count_include_pad": int(count_include_pad)}, opset=opset)


@SETTINGS
@given(windows(pool=True), st.booleans(), st.integers(1, 3))
def test_lp_pool(chosen: dict[str, Any], ceil: bool, p: int) -> None:
    x = rng.normal(size=(2, 3, *chosen.pop("sizes")))
    check("LpPool", [x], {**chosen, "ceil_mode": int(ceil and "auto_pad" not in chosen), "p": p})


@pytest.mark.parametrize("sizes", [(5,), (4, 3), (2, 3, 4)])
def test_global_pools(sizes: tuple[int, ...]) -> None:
    x = rng.normal(size=(2, 3, *sizes))
    check("GlobalMaxPool", [x])
    check("GlobalAveragePool", [x])
    for p in (1, 2, 3):
        check("GlobalLpPool", [x], {"p": p})


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather_and_scatter_elements(axis: int) -> None:
    x = rng.normal(size=(100, 70, 80))
    indices = rng.integers(-70, 70, size=(100, 70, 80))
    check("GatherElements", [x, indices], {"axis": axis})
    for reduction in ("add", "mul", "max", "min"):
        check(
            "ScatterElements",
            [x[:9, :5, :3], indices[:9, :5, :3] % 3, x[:9, :5, :3]],
            {"axis": axis, "reduction": reduction},
            opset=18,
        )
    order = np.argsort(rng.normal(size=(4, 4)), axis=axis)
    check("ScatterElements", [x[0, :4, :4], order, x[1, :4, :4]], {"axis": axis})
    check("Scatter", [x[0, :4, :4], order, x[1, :4, :4]], {"axis": axis % 2}, opset=10)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("order", [0, 1])
def test_unique(axis: int | None, order: int) -> None:
    x = rng.integers(0, 3, size=(6, 2)).astype(np.float64)
    check("Unique", [x], {"sorted": order} | ({} if axis is None else {"axis": axis}), outputs=4)


@pytest.mark.parametrize(
    ("indices", "batch_dims"), [((6, 3), 0), ((2, 5, 1), 1), ((2, 3, 2), 1), ((2, 3, 2), 2), ((2, 3, 6, 1), 2)]
)
def test_gather_and_scatter_nd(indices: tuple[int, ...], batch_dims: int) -> None:
    x = rng.normal(size=(2, 3, 4, 5))
    at = rng.integers(-2, 2, size=indices)
    check("GatherND", [x, at], {"batch_dims": batch_dims})
    updates = rng.normal(size=(*at.shape[:-1], *x.shape[at.shape[-1] :]))
    for reduction in ("add", "mul", "max", "min"):
        check("ScatterND", [x, at, updates], {"reduction": reduction}, opset=18)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_pad(mode: str) -> None:
    x = rng.normal(size=(4, 5, 3))
    check("Pad", [x, np.array([1, 0, 2, 0, 3, 1])], {"mode": mode})
    check("Pad", [x, np.array([1, 2, 3, 0]), np.array(0.5), np.array([-2, 0])], {"mode": mode})
    if mode == "constant":
        check("Pad", [x, np.array([-1, 2, 0, 1, -3, -1]), np.array(0.5)], {"mode": mode})


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("coordinates", ["align_corners", "half_pixel", "asymmetric", "tf_crop_and_resize"])
def test_resize(mode: str, coordinates: str) -> None:
    x = rng.normal(size=(1, 2, 5, 6))
    roi = np.array([0, 0, 0.1, 0.2, 1, 1, 0.8, 0.9], np.float32)
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    check("Resize", [x, roi, np.array([1, 1, 1.7, 0.73], np.float32)], attributes)
    check("Resize", [x, roi[[2, 3, 6, 7]], np.array([1.7, 0.73], np.float32)], {**attributes, "axes": [-2, -1]})


def test_every_replacement_is_tested() -> None:
    tested = {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalLpPool"}
    tested |= {"GatherElements", "ScatterElements", "Scatter", "GatherND", "ScatterND", "Pad", "Resize"}
    assert {operator.__name__ for operator in [*REPLACEMENTS, *MOVEMENT]} == tested
