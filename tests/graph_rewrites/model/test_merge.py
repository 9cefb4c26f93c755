from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import helper
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.model.merge import merge
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.rewrite import rewrite

from ..networks import Net, images, names_of, residual_cnn, run, small_cnn

METHODS = ("grad-cam", "layer-cam", "eigen-cam", "guided-backprop", "guided-grad-cam", "gradient", "c-mwp")


def explained(model: onnx.ModelProto, methods: tuple[str, ...] = METHODS) -> dict[str, onnx.ModelProto]:
    return {method: rewrite(model, method=method) for method in methods}


@pytest.mark.parametrize("batch", ["N", 1])
@pytest.mark.parametrize("build", [small_cnn, residual_cnn])
def test_the_joined_model_gives_what_each_gives(build: object, batch: str | int) -> None:
    model = build(batch)  # type: ignore[operator]
    models = explained(model)
    joined = merge(models)
    onnx.checker.check_model(joined, full_check=True)
    feeds = images(model, n=1 if batch == 1 else 2)
    feeds["target"] = np.array([[2]] if batch == 1 else [[2, -1, 0]] * 2)
    found, record = run(joined, feeds), read_metadata(joined)
    assert record is not None
    for method, one in models.items():
        alone = run(one, feeds)
        names = record["records"][method]["names"]
        assert record["records"][method]["method"] == method
        for logical, actual in (read_metadata(one) or {})["names"].items():
            if logical != "target":
                np.testing.assert_allclose(
                    found[names[logical]], alone[actual], atol=1e-6, err_msg=f"{method} {logical}"
                )
                assert record["names"][f"{logical}@{method}"] == names[logical]


def test_the_network_and_its_weights_are_there_once() -> None:
    model = small_cnn()
    joined = merge(explained(model, ("grad-cam", "layer-cam", "grad-cam++")))
    counts = Counter(node.op_type for node in joined.graph.node)
    own = Counter(node.op_type for node in model.graph.node)
    assert counts["Conv"] == own["Conv"] == 2
    assert counts["GlobalAveragePool"] == own["GlobalAveragePool"]
    sizes = [one.ByteSize() for one in joined.graph.initializer if len(one.dims) == 4]
    assert len(sizes) == 2
    assert len(set(names_of(joined.graph.output))) == len(joined.graph.output)


def test_models_are_not_changed() -> None:
    models = explained(small_cnn(), ("grad-cam", "gradient"))
    before = {name: one.SerializeToString(deterministic=True) for name, one in models.items()}
    merge(models)
    assert {name: one.SerializeToString(deterministic=True) for name, one in models.items()} == before


def test_bodies_read_the_tensors_under_their_new_names() -> None:
    """Two models whose equally named tensors differ, each read by the branches of an If."""

    def model(factor: float) -> onnx.ModelProto:
        net = Net()
        x = net.input("x", [2])
        scaled = net.add("Mul", x, net.const([factor, factor], name="factor"), out="scaled")
        branches = {
            f"{name}_branch": helper.make_graph(
                [helper.make_node(op, ["scaled", "scaled"], [f"{name}_out"])],
                name,
                [],
                [helper.make_tensor_value_info(f"{name}_out", onnx.TensorProto.FLOAT, [2])],
            )
            for name, op in (("then", "Add"), ("else", "Mul"))
        }
        total = net.add("ReduceSum", scaled, keepdims=0)
        net.output(net.add("If", net.add("Greater", total, net.const(0.0)), out="y", **branches), [2])
        built = net.model()
        built.metadata_props.add(
            key="onnxplain", value='{"version": "", "input": {}, "score": {}, "names": {"target": "x", "y": "y"}}'
        )
        return built

    joined = merge({"twice": model(2), "thrice": model(3)})
    onnx.checker.check_model(joined)
    names = (read_metadata(joined) or {})["names"]
    for x in ([1.0, 2.0], [-1.0, -2.0]):
        found = run(joined, {"x": np.array(x, np.float32)})
        for name, factor in (("twice", 2), ("thrice", 3)):
            scaled = factor * np.array(x)
            expected = scaled + scaled if x[0] > 0 else scaled * scaled
            assert found[names[f"y@{name}"]].tolist() == expected.tolist()


def test_random_draws_stay_apart() -> None:
    net = Net()
    net.input("x", [1])
    for name in ("one", "two"):
        net.output(net.add("RandomNormal", out=name, shape=[5]), [5])
    model = net.model()
    model.metadata_props.add(
        key="onnxplain",
        value='{"version": "", "input": {}, "score": {}, "names": {"target": "x", "one": "one", "two": "two"}}',
    )
    joined = merge({"a": model, "b": model})
    assert [node.op_type for node in joined.graph.node] == ["RandomNormal"] * 2
    found = run(joined, {"x": np.zeros(1, np.float32)})
    assert (found["one"] != found["two"]).all()


def test_models_of_different_inputs_are_refused() -> None:
    with pytest.raises(OnnxplainError, match="different inputs or operator sets"):
        merge({"a": rewrite(small_cnn("N")), "b": rewrite(small_cnn(1))})
