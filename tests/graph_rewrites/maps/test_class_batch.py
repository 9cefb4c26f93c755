from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.rewrite import rewrite

from ..networks import Array, Net, explain, images, names_of, residual_cnn, run, small_cnn

ALL = ("score", "cam", "heatmap", "activation", "gradient", "logits")


def repeated_tensors(model: onnx.ModelProto) -> list[str]:
    """What the repeat's first Gather nodes take: the place."""
    gathers = [n for n in model.graph.node if n.name.startswith("onnxplain/repeat/Gather")]
    return [n.input[0] for n in gathers if "onnxplain/repeat/Div" in n.input]


def assert_k_classes_equal_k_runs(
    model: onnx.ModelProto, feeds: dict[str, Array], target: Array, **options: object
) -> None:
    explained = rewrite(model, outputs=ALL, **options)  # type: ignore[arg-type]
    together = explain(explained, feeds, target)
    plain = run(model, feeds)
    for name, value in plain.items():
        assert together[name].shape == value.shape, name
        np.testing.assert_allclose(together[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    # Without fusions, which a second consumer of a tensor can prevent, the original outputs are the same to the bit.
    exact, unfused = run(model, feeds, optimised=False), explain(explained, feeds, target[:, :1], optimised=False)
    for name, value in exact.items():
        np.testing.assert_array_equal(unfused[name], value, err_msg=name)
    for k in range(target.shape[1]):
        alone = explain(explained, feeds, target[:, k : k + 1])
        for name in ("score", "cam", "heatmap", "gradient"):
            np.testing.assert_allclose(together[name][:, k], alone[name][:, 0], rtol=1e-4, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(together["activation"], alone["activation"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [None, "relu1", "pool1", "image"])
def test_k_classes_equal_k_runs_in_a_plain_network(layer: str | None) -> None:
    model = small_cnn()
    target = np.array([[0, -1, 3], [4, 2, -2]])  # other classes for each row
    assert_k_classes_equal_k_runs(model, images(model), target, layers=layer)


@pytest.mark.parametrize("layer", ["stem", "branch_relu", "sum", "block", "image"])
def test_k_classes_equal_k_runs_in_a_residual_network(layer: str) -> None:
    model = residual_cnn()
    assert_k_classes_equal_k_runs(model, images(model), np.array([[0, 1, -1], [-1, 4, 4]]), layers=layer)


def test_the_gradient_differs_between_the_classes() -> None:
    model = small_cnn()
    got = explain(rewrite(model, outputs=ALL), images(model), [[0, 1], [0, 1]])
    assert np.abs(got["gradient"][:, 0] - got["gradient"][:, 1]).max() > 1e-3


def test_in_a_plain_network_the_place_is_the_layer_and_the_trunk_stays_as_it_was() -> None:
    model = small_cnn()
    explained = rewrite(model)
    trunk = [n for n in explained.graph.node if n.output[0] in ("relu1", "pool1", "relu2") or n.op_type == "Conv"]
    assert trunk == [n for n in model.graph.node if n.output[0] in ("relu1", "pool1", "relu2") or n.op_type == "Conv"]
    (pool,) = [n for n in explained.graph.node if n.op_type == "GlobalAveragePool"]
    assert pool.input[0].startswith("onnxplain/repeat/")
    assert repeated_tensors(explained) == ["relu2"]


def test_for_a_layer_inside_a_residual_branch_the_skip_connection_is_repeated_beside_it() -> None:
    assert repeated_tensors(rewrite(residual_cnn(), layers="branch_relu")) == ["stem", "branch_relu"]
    assert repeated_tensors(rewrite(residual_cnn())) == ["block"]


def test_for_a_graph_input_as_layer_the_place_is_that_input() -> None:
    assert repeated_tensors(rewrite(small_cnn(), layers="image")) == ["image"]


def test_with_two_layers_the_place_is_at_or_before_the_first() -> None:
    model = small_cnn()
    explained = rewrite(model, layers=["relu2", "relu1"], outputs=ALL)
    assert repeated_tensors(explained) == ["relu1"]
    feeds = images(model)
    both = explain(explained, feeds, [[0, 1], [2, 3]])
    for layer in ("relu1", "relu2"):
        alone = explain(rewrite(model, layers=layer, outputs=ALL), feeds, [[0, 1], [2, 3]])
        for name in ("cam", "heatmap", "gradient", "activation"):
            np.testing.assert_allclose(both[f"{name}@{layer}"], alone[name], rtol=1e-4, atol=1e-6)


def test_where_a_skip_starts_at_the_input_the_input_is_repeated_beside_the_layer() -> None:
    net = Net()
    x = net.input("image", ["N", 3, 8, 8])
    a = net.add("Relu", net.conv(x, 3, 3), out="a")
    total = net.add("Add", a, x, out="total")
    net.output(net.head(total, 3, 4), ["N", 4])
    model = net.model()
    assert repeated_tensors(rewrite(model, layers="a")) == ["image", "a"]
    assert_k_classes_equal_k_runs(model, images(model), np.array([[0, 1], [2, 3]]), layers="a")


def two_inputs(second_batch: str = "N") -> onnx.ModelProto:
    """An image and a vector that scales its channels (and so reaches the score on a path of its own)."""
    net = Net()
    x = net.input("image", ["N", 3, 8, 8])
    v = net.input("vector", [second_batch, 4])
    a = net.add("Relu", net.conv(x, 3, 4), out="a")
    logits = net.head(a, 4, 5, out="image_logits")
    total = net.add("Add", logits, net.add("Gemm", v, net.random(5, 4), transB=1), out="logits")
    net.output(total, ["N", 5])
    return net.model()


def test_several_inputs_are_all_repeated() -> None:
    model = two_inputs()
    explained = rewrite(model, outputs=ALL)
    target = next(v for v in explained.graph.input if v.name == "target")
    assert target.type.tensor_type.shape.dim[1].dim_param
    assert_k_classes_equal_k_runs(model, images(model), np.array([[0, 1, -1], [2, 3, -2]]))


def test_inputs_with_different_batch_symbols_give_one_target() -> None:
    explained = rewrite(two_inputs("M"))
    target = next(v for v in explained.graph.input if v.name == "target")
    assert target.type.tensor_type.shape.dim[1].dim_value == 1


def with_outputs() -> onnx.ModelProto:
    """Outputs from before, at, inside and after the repeat, and off the path to the score."""
    net = Net(seed=3)
    x = net.input("image", ["N", 3, 8, 8])
    stem = net.add("Relu", net.conv(x, 3, 4), out="stem")
    branch = net.add("Relu", net.conv(stem, 4, 4), out="branch")
    block = net.add("Relu", net.add("Add", branch, stem), out="block")
    logits = net.head(block, 4, 5)
    off_after = net.add("ReduceMean", branch, axes=[2, 3], keepdims=0, out="off_after")
    off_before = net.add("ReduceMean", stem, axes=[2, 3], keepdims=0, out="off_before")
    unrelated = net.add("Neg", x, out="unrelated")
    net.add("ArgMax", logits, axis=1, keepdims=0, out="class")
    net.output(logits, ["N", 5])
    for name in (stem, branch, block):
        net.output(name, ["N", 4, 8, 8])
    net.output(off_after, ["N", 4])
    net.output(off_before, ["N", 4])
    net.output(unrelated, ["N", 3, 8, 8])
    net.output("class", ["N"], TensorProto.INT64)
    return net.model()


@pytest.mark.parametrize("layer", ["stem", "branch", "block"])
def test_outputs_from_everywhere_keep_their_values(layer: str) -> None:
    model = with_outputs()
    target = np.array([[0, -1, 2], [1, 3, -1]])
    assert_k_classes_equal_k_runs(model, images(model), target, layers=layer, score="logits")


def test_the_original_outputs_keep_their_names_order_and_types() -> None:
    model = with_outputs()
    explained = rewrite(model, layers="branch", score="logits")
    kept = list(explained.graph.output)[: len(model.graph.output)]
    assert kept == list(model.graph.output)
    assert explained.graph.input[0] == model.graph.input[0]


def test_the_recorded_logits_are_a_tensor_of_the_original_model() -> None:
    model = small_cnn()
    record = read_metadata(rewrite(model)) or {}
    assert record["score"] == {"output": "logits", "logits": "logits", "squashed_by": None}
    record = read_metadata(rewrite(with_outputs(), layers="branch", score="logits")) or {}
    assert record["layers"] == ["branch"]


def test_a_fixed_batch_takes_one_target_and_repeats_nothing() -> None:
    model = small_cnn(batch=2)
    explained = rewrite(model)
    (target,) = [v for v in explained.graph.input if v.name == "target"]
    assert [d.dim_value for d in target.type.tensor_type.shape.dim] == [2, 1]
    assert repeated_tensors(explained) == []
    assert explain(explained, images(model), [[1], [-1]])["cam"].shape == (2, 1, 4, 4)


def test_an_unnamed_open_batch_still_takes_k_targets() -> None:
    model = small_cnn(batch=None)
    got = explain(rewrite(model), images(model), [[0, 1, -1], [1, 2, -2]])
    assert got["cam"].shape == (2, 3, 4, 4)
    alone = explain(rewrite(model), images(model), [[-1], [-2]])
    np.testing.assert_allclose(got["cam"][:, 2], alone["cam"][:, 0], rtol=1e-4, atol=1e-6)


def test_an_output_without_a_batch_axis_after_the_place_gives_one_target() -> None:
    net = Net()
    x = net.input("image", ["N", 3, 8, 8])
    logits = net.head(net.add("Relu", net.conv(x, 3, 4), out="a"), 4, 5)
    net.add("ReduceMean", logits, axes=[0], keepdims=0, out="mean")
    net.output(logits, ["N", 5])
    net.output("mean", [5])
    model = net.model()
    explained = rewrite(model, score="logits")
    (target,) = [v for v in explained.graph.input if v.name == "target"]
    assert target.type.tensor_type.shape.dim[1].dim_value == 1
    got, plain = explain(explained, images(model), [[1], [2]]), run(model, images(model))
    np.testing.assert_array_equal(got["mean"], plain["mean"])


def test_sizes_computed_at_run_time_stay_consistent_after_the_repeat() -> None:
    """The head reshapes by the batch size of the *input*: a repeat between the two would break it."""
    net = Net()
    x = net.input("image", ["N", 3, 8, 8])
    a = net.add("Relu", net.conv(x, 3, 4), out="a")
    n = net.add("Gather", net.add("Shape", x), net.const([0], np.int64), axis=0)
    sizes = net.add("Concat", n, net.const([-1], np.int64), axis=0)
    flat = net.add("Reshape", a, sizes)
    net.output(net.add("Gemm", flat, net.random(5, 256), transB=1, out="logits"), ["N", 5])
    model = net.model()
    assert_k_classes_equal_k_runs(model, images(model), np.array([[0, 1, -1], [2, 3, -2]]))


def test_a_subgraph_after_the_place_sees_repeated_rows() -> None:
    """An If whose branches capture the layer: it must be refused or right, never mixed with unrepeated rows."""
    net = Net()
    x = net.input("image", ["N", 3, 8, 8])
    flag = net.input("flag", [], TensorProto.BOOL)
    layer = net.add("Relu", net.conv(x, 3, 4), out="layer")
    out = helper.make_tensor_value_info("branch", TensorProto.FLOAT, ["N", 4, 8, 8])
    branches = [
        helper.make_graph([helper.make_node(op, [layer], ["branch"])], op, [], [out]) for op in ("Neg", "Identity")
    ]
    scaled = net.add("If", flag, then_branch=branches[0], else_branch=branches[1], out="scaled")
    net.output(net.head(scaled, 4, 5), ["N", 5])
    net.output(net.add("Softmax", net.head(layer, 4, 5, out="others"), out="side"), ["N", 5])
    model = net.model()
    explained = rewrite(model, score="side", layers="layer")
    feeds = {**images(net.model()), "flag": np.array(True)}
    plain, got = run(model, feeds), explain(explained, feeds, [[0, 1], [2, 3]])
    for name, value in plain.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-6)
    assert names_of(model.graph.output) == names_of(explained.graph.output)[:2]


@pytest.mark.parametrize("rows", [1, 3])
def test_targets_for_another_number_of_samples_are_an_error(rows: int) -> None:
    explained = rewrite(small_cnn())
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        explain(explained, images(explained, 2), np.zeros((rows, 2), np.int64))


def test_a_batch_size_written_as_minus_one_is_open() -> None:
    model = small_cnn()
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = -1
    feeds = images(small_cnn(), 2)
    found = explain(rewrite(model), feeds, np.array([[0, 1], [2, 0]]))
    expected = explain(rewrite(small_cnn()), feeds, np.array([[0, 1], [2, 0]]))
    np.testing.assert_array_equal(found["cam"], expected["cam"])


def test_an_output_whose_batch_has_another_name_does_not_fix_the_number_of_targets() -> None:
    model = small_cnn()
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "unk__7"
    explained = rewrite(model)
    assert explained.graph.output[0] == model.graph.output[0]
    feeds, target = images(model, 2), np.array([[0, 1], [2, 0]])
    np.testing.assert_array_equal(
        explain(explained, feeds, target)["cam"], explain(rewrite(small_cnn()), feeds, target)["cam"]
    )


def test_sizes_that_are_multiples_of_the_batch_grow_with_the_classes() -> None:
    """Exporters state such sizes ("2*N"), and ONNX Runtime reuses memory by them."""
    net = Net(seed=3)
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 8, 8]), 3, 4), out="layer")
    halves = net.add("Reshape", x, net.const([-1, 2, 8, 8], np.int64), out="halves")
    x = net.add("Reshape", net.add("Relu", halves, out="relu"), net.const([-1, 4, 8, 8], np.int64))
    net.output(net.head(x, 4, 5), ["N", 5])
    model = net.model()
    for name in ("halves", "relu"):
        model.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["2*N", 2, 8, 8]))
    explained = rewrite(model, layers="layer")
    sizes = {v.name: v.type.tensor_type.shape.dim[0].dim_param for v in explained.graph.value_info}
    assert (sizes["halves"], sizes["relu"]) == ("2*N*targets", "2*N*targets")
    assert_k_classes_equal_k_runs(model, images(model), np.array([[0, 3, 1], [2, -1, 4]]))


@pytest.mark.parametrize(("method", "wanted"), [("gradient", ()), ("eigen-cam", ("activation",))])
@pytest.mark.parametrize("batch", ["N", 2])
def test_the_scores_of_k_classes_come_from_one_row_a_sample(
    method: str, wanted: tuple[str, ...], batch: int | str
) -> None:
    model = small_cnn(batch)
    explained = rewrite(model, method=method, outputs=("score", "logits", *wanted))
    assert repeated_tensors(explained) == []
    logits = run(model, images(model))["logits"]
    got = explain(explained, images(model), np.array([[0, -1, 3], [4, 2, -2]]))
    ranked = np.sort(logits, axis=1)[:, ::-1]
    expected = [[logits[0, 0], ranked[0, 0], logits[0, 3]], [logits[1, 4], logits[1, 2], ranked[1, 1]]]
    np.testing.assert_array_equal(got["score"], expected)
    np.testing.assert_array_equal(got["logits"], logits)


@pytest.mark.parametrize("rows", [1, 3])
def test_targets_of_scores_alone_for_another_number_of_samples_are_an_error(rows: int) -> None:
    explained = rewrite(small_cnn(), method="gradient", outputs=("score",))
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        explain(explained, images(explained, 2), np.zeros((rows, 2), np.int64))
