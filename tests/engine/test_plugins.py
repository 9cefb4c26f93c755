from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnxplain.engine.explainer import Explainer
from onnxplain.engine.plugins import load_plugin
from onnxplain.graph_rewrites.backward_rules.registry import RULES
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError
from onnxplain.graph_rewrites.maps.registry import METHODS

from ..commands.command_line import assert_refused, run
from ..graph_rewrites.networks import images, small_cnn
from .evaluation.colours import PREPROCESS, write_scenes

PLUGIN = """
import onnxplain

@onnxplain.backward_rule("halved", "Relu")
def halved(op, node, grad):
    return [op.Mul(grad, 0.5)]

@onnxplain.method("twice-hires")
def twice_hires(layer, *, factor: float = 2.0):
    op = layer.op
    return op.Mul(op.ReduceSum(op.Mul(layer.gradient, layer.activation), [1], keepdims=1), factor)
"""

MULTI_PASS = """
import numpy as np
from onnxplain.engine.multi_pass.models import scores_alone
from onnxplain.engine.multi_pass.registry import multi_pass_method

@multi_pass_method("hidden-strips", scores_alone)
def hidden_strips(sample, *, strips: int = 2):
    def hide(index, out):
        out[...] = sample.image
        np.array_split(out, strips, axis=2)[index][...] = 0

    drops = sample.scores - sample.scores_of(hide, strips)
    return {"cam": drops.T[:, None]}
"""


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the registries as they were."""
    for registry in (RULES, METHODS):
        before = dict(registry)
        for name in before:
            monkeypatch.setitem(registry, name, before[name])
        monkeypatch.setitem(registry, "halved" if registry is RULES else "twice-hires", None)
        del registry["halved" if registry is RULES else "twice-hires"]


@pytest.mark.usefixtures("registries")
def test_a_file_registers_rules_and_methods(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    load_plugin(str(tmp_path / "mine.py"))
    model = small_cnn()
    feeds = images(model)
    plain = Explainer(model, method="hires-cam", layers="relu1", options={"relu": False}).run(feeds, 1)["cam"]
    own = Explainer(model, method="twice-hires", layers="relu1", options={"factor": "3"}).run(feeds, 1)["cam"]
    np.testing.assert_allclose(own, 3 * plain, rtol=1e-5, atol=1e-8)
    halved = Explainer(model, method="gradient", rules="halved").run(feeds, 1)["input_gradient"]
    assert np.abs(halved).max() > 0


def test_what_cannot_be_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    for name, error, message in (
        (str(tmp_path / "none.py"), UsageError, "no such plug-in file"),
        ("no_such_module_anywhere", UsageError, "no_such_module_anywhere"),
        (str(tmp_path / "broken.py"), OnnxplainError, "ZeroDivisionError"),
    ):
        with pytest.raises(error, match=message) as caught:
            load_plugin(name)
        assert "\n" not in str(caught.value)


def test_a_file_registers_a_method_of_many_runs(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    (tmp_path / "mine.py").write_text(MULTI_PASS)
    plugin = ["--plugin", "mine.py"]
    explain = ["explain", "colours.onnx", "d.png", "--preprocess", PREPROCESS, "-t", "red", "--npy"]
    strips = ["--method", "hidden-strips", "--option", "strips=3"]
    result = run(tmp_path, *plugin, *explain, *strips)
    assert result.returncode == 0, result.stderr
    heatmap = np.load(tmp_path / "explanations" / "d_0_red.npy")  # red lies in the first of three strips
    assert heatmap[:, :5].min() == pytest.approx(1)
    assert np.abs(heatmap[:, 15:]).max() == 0
    refused = run(tmp_path, *plugin, "rewrite", "colours.onnx", "--method", "hidden-strips")
    assert_refused(refused, 2, "'hidden-strips' runs a model many times", "Explainer")
    (tmp_path / "mine.py").write_text(MULTI_PASS.replace("hidden-strips", "grad-cam"))
    assert_refused(run(tmp_path, *plugin, "layers"), 1, "mine.py", "a method named 'grad-cam' is registered already")


def test_the_package_knows_methods_of_many_runs_whatever_is_asked_for_first(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    code = "import onnxplain; onnxplain.rewrite('colours.onnx', method='rise')"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.stderr.splitlines()[-1].endswith(
        "UsageError: method 'rise' runs a model many times, so no model holds it; use onnxplain.Explainer"
    )
