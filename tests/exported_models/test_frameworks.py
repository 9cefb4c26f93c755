"""Same weights, same map: one network from four frameworks, in the form that each exporter gives it.

The maps that they are compared with are those of PyTorch's autograd in float64, see `exported_models/same_weights`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxplain import Explainer, layers

FOLDER = Path(__file__).parents[2] / "exported_models"
FILES = [path for name in ("jax", "keras", "paddle", "pytorch") for path in sorted((FOLDER / name).glob("*.onnx"))]
IDS = [f"{path.parent.name}/{path.name}" for path in FILES]
# Of the largest magnitude, from the reference: so any two files agree to 1e-5.
TOLERANCE = 5e-6
LAYERS = [(8, 16), (8, 16), (16, 16), (16, 8), (16, 8), (16, 4)]  # channels, height; the default is the fifth


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "same_weights" / "reference_maps.npz") as arrays:
        return dict(arrays)


def explain(path: Path, reference: dict[str, np.ndarray], method: str, at: str | None = None) -> dict[str, np.ndarray]:
    """The outputs for the reference's images and classes, everything with the channels first."""
    explainer = Explainer(path, method=method, layers=at)
    fed = explainer.record["input"]
    images = reference["images"]
    is_last = fed["layout"] == "NHWC"
    outputs = explainer.run({fed["name"]: np.moveaxis(images, 1, -1) if is_last else images}, reference["classes"])
    if is_last and "input_gradient" in outputs:
        outputs["input_gradient"] = np.moveaxis(outputs["input_gradient"], -1, 2)
    return outputs


def assert_agree(got: np.ndarray, expected: np.ndarray, what: str) -> None:
    assert got.shape == expected.shape, what
    largest = np.abs(expected).max()
    assert largest > 0, what
    assert np.abs(got - expected).max() <= TOLERANCE * largest, what


def test_every_exporter_is_here() -> None:
    exporters = {f"{path.parent.name}/{path.name.split('_')[0]}" for path in FILES}
    keras, pytorch = {"keras/keras", "keras/tf2onnx", "keras/tflite"}, {"pytorch/torchscript", "pytorch/dynamo"}
    assert exporters == {*keras, *pytorch, "jax/jax2onnx", "paddle/paddle2onnx"}


@pytest.mark.parametrize(
    ("method", "output"), [("grad-cam", "cam"), ("guided-backprop", "input_gradient"), ("c-mwp", "cam")]
)
@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_maps_and_logits_are_those_of_autograd(
    path: Path, method: str, output: str, reference: dict[str, np.ndarray]
) -> None:
    outputs = explain(path, reference, method)
    assert_agree(outputs[output], reference[method], method)
    assert_agree(outputs["logits"], reference["logits"], "logits")
    assert_agree(outputs["score"], np.take_along_axis(reference["logits"], reference["classes"], 1), "score")


@pytest.fixture(scope="module")
def of_pytorch(reference: dict[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """The maps at all layers, by method, of one file."""
    path = FOLDER / "pytorch" / "torchscript_opset17.onnx"
    return {method: maps_at_all_layers(path, reference, method) for method in ("grad-cam", "mwp", "c-mwp")}


def maps_at_all_layers(path: Path, reference: dict[str, np.ndarray], method: str) -> list[np.ndarray]:
    outputs = explain(path, reference, method, "all")
    return [outputs[f"cam@{layer.name}"] for layer in layers(path)]


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_layers_and_their_maps_are_the_same_in_every_file(
    path: Path, reference: dict[str, np.ndarray], of_pytorch: dict[str, list[np.ndarray]]
) -> None:
    found = layers(path)
    assert [sorted(layer.shape[1:]) for layer in found] == [sorted((c, size, size)) for c, size in LAYERS]
    assert [layer.is_default for layer in found] == [False] * 4 + [True, False]
    for method, expected in of_pytorch.items():
        for index, cam in enumerate(maps_at_all_layers(path, reference, method)):
            assert_agree(cam, expected[index], f"{method} at {found[index].name}")


def row_end(path: Path) -> str:
    """What the file's row ends in: its opset, the layouts at the input and at the default layer, its operators."""
    model = onnx.load(path)
    (opset,) = (str(imported.version) for imported in model.opset_import if not imported.domain)
    (default,) = (layer for layer in layers(path) if layer.is_default)
    sizes = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    layouts = ["NCHW" if shape[1] == channels else "NHWC" for shape, channels in ((sizes, 3), (default.shape, 16))]
    operators = dict.fromkeys(node.op_type for node in model.graph.node)
    return f"| {' | '.join([opset, *layouts, ', '.join(operators)])} |"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_the_model_card_tells_what_is_in_the_file(path: Path) -> None:
    card = (FOLDER / "same_weights" / "README.md").read_text("utf-8")
    (row,) = [line for line in card.splitlines() if line.startswith(f"| `{path.parent.name}/{path.name}` |")]
    assert row.endswith(row_end(path))


def test_the_group_has_both_layouts_at_the_input_and_at_the_layer() -> None:
    layouts = {tuple(row_end(path).split(" | ")[1:3]) for path in FILES}
    assert layouts == {("NHWC", "NCHW"), ("NHWC", "NHWC"), ("NCHW", "NCHW"), ("NCHW", "NHWC")}
