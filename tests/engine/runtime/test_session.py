"""Providers and load errors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnxplain import OnnxplainError, UsageError
from onnxplain.engine.runtime import session
from onnxplain.engine.runtime.session import CPU, CUDA, Session, choose_providers

MODEL = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] y) { y = Neg(x) }')


class FakeRuntime:
    """An ONNX Runtime that was built with CUDA."""

    @staticmethod
    def get_available_providers() -> list[str]:
        return [CUDA, CPU]

    @staticmethod
    def get_all_providers() -> list[str]:
        return ["TensorrtExecutionProvider", CUDA, CPU]


@pytest.mark.parametrize(
    ("usable", "asked", "expected"),
    [(True, None, [CUDA, CPU]), (False, None, [CPU]), (True, ["cuda"], [CUDA, CPU]), (True, ["CPU"], [CPU])],
)
def test_cuda_is_taken_where_it_is_usable(
    monkeypatch: pytest.MonkeyPatch, usable: bool, asked: list[str] | None, expected: list[str]
) -> None:
    monkeypatch.setattr(session, "import_onnxruntime", FakeRuntime)
    monkeypatch.setattr(session, "cuda_is_usable", lambda: usable)
    assert choose_providers(asked) == expected


def test_what_was_asked_for_and_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "import_onnxruntime", FakeRuntime)
    monkeypatch.setattr(session, "cuda_is_usable", lambda: False)
    with pytest.raises(OnnxplainError, match="no CUDA device is usable"):
        choose_providers(["cuda"])
    with pytest.raises(OnnxplainError, match="not in the installed ONNX Runtime"):
        choose_providers(["tensorrt"])
    with pytest.raises(UsageError, match="unknown provider 'cdua'; did you mean 'cuda'"):
        choose_providers(["cdua"])


def test_a_model_that_does_not_load_or_run_is_one_line() -> None:
    broken = onnx.ModelProto()
    broken.CopyFrom(MODEL)
    broken.graph.node[0].op_type = "Nog"
    with pytest.raises(OnnxplainError, match="cannot load the model") as caught:
        Session(broken, ["cpu"])
    assert "\n" not in str(caught.value)
    with pytest.raises(OnnxplainError, match="cannot run the model"):
        Session(MODEL, ["cpu"]).run(None, {"x": np.zeros((2, 2), np.float32)})


def test_a_large_model_goes_through_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_PROTO_BYTES", 1)
    (y,) = Session(MODEL, ["cpu"]).run(None, {"x": np.array([2], np.float32)})
    np.testing.assert_array_equal(y, [-2])


def test_without_a_runtime_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['onnxruntime'] = None; sys.argv = ['onnxplain', 'explain']; "
    result = subprocess.run(
        [sys.executable, "-c", code + "from onnxplain.cli import main; main()"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(
        "error: ONNX Runtime is not installed; run: pip install 'onnxplain[cpu]'"
    )
    assert len(result.stderr.splitlines()) == 1
