"""The plug-in of docs/extending.md, loaded as a user does, and every part of it used."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxplain.extend
import pytest

from .commands.command_line import assert_refused, run
from .engine.evaluation.colours import PREPROCESS, write_scenes

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
# Compares gradients of operators of its own, as the reference evaluator runs them, with their formulas.
GRADIENTS = """
import sys
import numpy as np, onnx
from onnx import helper, TensorProto
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
import onnxplain
from onnxplain.engine.plugins import load_plugin

load_plugin("plugin.py")

class Cube(OpRun):
    op_domain = "my"
    def _run(self, x):
        return (x ** 3,)

class Silu(OpRun):
    op_domain = "my"
    def _run(self, x):
        return (x / (1 + np.exp(-x)),)

def model(op):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], domain="my")], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("my", 1)])

x = np.array([[-2, -1, 0.5], [1, 2, 3]], np.float32)
g = np.array([[1, -2, 3], [-4, 5, -6]], np.float32)
s = 1 / (1 + np.exp(-x))
for op, slope in (("Cube", 3 * x * x), ("Silu", s + x * s * (1 - s))):
    grad = onnxplain.append_vjp(model(op), "y", "x")
    found = ReferenceEvaluator(grad, new_ops=[Cube, Silu]).run(["x_grad"], {"x": x, "y_cotangent": g})[0]
    np.testing.assert_allclose(found, g * slope, rtol=1e-5)
"""
# An operator with a gradient rule but without traits is refused by excitation backprop, and one with traits is not.
RELEVANCE = """
import onnx, numpy as np
from onnx import helper, numpy_helper, TensorProto
import onnxplain
from onnxplain.engine.plugins import load_plugin
from onnxplain.extend import axes_of, gradient_of

load_plugin("plugin.py")

@gradient_of("my::Untold")
def untold(op, node, grad):
    return [grad]

@axes_of("my::Untold")
def untold_axes(step):
    return step.labels()

def network(op):
    rng = np.random.default_rng(0)
    weights = {"w": rng.random((4, 3, 3, 3)), "v": rng.random((4, 5))}
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["maps"], pads=[1] * 4),
        helper.make_node(op, ["maps"], ["units"], domain="my"),
        helper.make_node("GlobalAveragePool", ["units"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "v"], ["logits"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 5])
    held = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    units = helper.make_tensor_value_info("units", TensorProto.FLOAT, ["N", 4, 8, 8])
    graph = helper.make_graph(nodes, "g", [image], [logits], held, value_info=[units])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("my", 1)])

print(onnxplain.layers(network("Cube"))[-1].name)
onnxplain.rewrite(network("Cube"), method="mwp", layers="maps")
try:
    onnxplain.rewrite(network("Untold"), method="mwp", layers="maps")
except onnxplain.OnnxplainError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plug-in, and scenes to explain."""
    place = tmp_path_factory.mktemp("plugin")
    (place / "plugin.py").write_text("\n\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)))
    write_scenes(place)
    return place


def script(folder: Path, code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


def explained(folder: Path, *options: str) -> np.ndarray:
    start = ["--plugin", "plugin.py", "explain", "colours.onnx", "d.png", "--preprocess", PREPROCESS, "--npy"]
    result = run(folder, *start, "--json", "-t", "0", *options)
    assert result.returncode == 0, result.stderr
    (row,) = json.loads(result.stdout)
    return np.asarray(np.load(folder / Path(row["overlay"]).with_suffix(".npy")))


def test_every_decorator_has_an_example() -> None:
    decorators = [name for name in onnxplain.extend.__all__ if re.fullmatch(r"[a-z_]+", name)]
    decorators = [name for name in decorators if name not in ("mean", "scores_alone", "with_gradients", "traits_of")]
    assert len(decorators) == 11
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    assert [name for name in decorators if f"\n@{name}" not in code and f"\n{name}(" not in code] == []


def test_operators_of_ones_own_have_right_gradients(folder: Path) -> None:
    script(folder, GRADIENTS)


def test_relevance_passes_an_operator_with_traits_and_is_refused_at_one_without(folder: Path) -> None:
    layer, refusal = script(folder, RELEVANCE).strip().splitlines()
    assert layer == "units"  # the activation belongs to the layer before it
    assert "excitation backprop is not defined for operator my::Untold" in refusal


def test_a_rule_set_halves_gradients(folder: Path) -> None:
    code = """
import numpy as np
import onnxplain
from onnxplain.engine.plugins import load_plugin
load_plugin("plugin.py")
explain = lambda **how: onnxplain.Explainer("colours.onnx", method="gradient", **how)
image = np.random.default_rng(0).random((1, 3, 20, 20), dtype=np.float32)
damped = explain(rules="damped").run({"image": image}, 0)["input_gradient"]
# Half of the head's 8, over 20 x 20 pixels, times the kernel of red, whatever the ReLU lets through.
np.testing.assert_allclose(damped[0, 0], np.full((3, 20, 20), 0.01) * np.array([1, -1, -1])[:, None, None], rtol=1e-5)
"""
    script(folder, code)


def test_maps_scores_and_passes_of_ones_own(folder: Path) -> None:
    norm = explained(folder, "--method", "gradient-norm", "--option", "power=1")
    assert norm.max() == pytest.approx(1)
    strips = explained(folder, "--method", "hidden-strips", "--option", "strips=3")  # red lies in the first
    assert strips[:, :5].min() == pytest.approx(1)
    assert np.abs(strips[:, 15:]).max() == 0
    of_margin = explained(folder, "--score", "margin(scores)")
    assert of_margin.max() == pytest.approx(1)


def test_a_metric_and_a_reader_of_ones_own(folder: Path) -> None:
    (folder / "scenes.boxes").write_text("d.png red 1 1 6 6\n")
    evaluate = ["evaluate", "colours.onnx", "scenes.boxes", "--metric", "brightest", "--preprocess", PREPROCESS]
    result = run(folder, "--plugin", "plugin.py", *evaluate, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["figures"]["grad-cam"]["brightest value"] == pytest.approx(1)


def test_a_name_is_registered_once(folder: Path) -> None:
    (folder / "twice.py").write_text((folder / "plugin.py").read_text().replace("gradient-norm", "grad-cam"))
    assert_refused(run(folder, "--plugin", "twice.py", "layers"), 1, "twice.py", "'grad-cam' is registered already")
