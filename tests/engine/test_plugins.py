from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnxplain.engine.explainer import Explainer
from onnxplain.engine.plugins import load_plugin
from onnxplain.graph_rewrites.backward_rules.registry import RULES
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError
from onnxplain.graph_rewrites.maps.registry import METHODS

from ..graph_rewrites.networks import images, small_cnn

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
