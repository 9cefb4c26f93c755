"""benchmarks/cuda_check.py, as far as it goes without a CUDA device."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnxplain.engine.embedded import MODEL
from onnxplain.engine.gradcheck.random_inputs import random_inputs
from onnxplain.engine.runtime.session import CPU, cuda_is_usable
from onnxplain.graph_rewrites.maps.registry import METHODS
from onnxplain.graph_rewrites.rewrite import rewrite

from .graph_rewrites.networks import small_cnn

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "cuda_check.py"


@pytest.fixture(scope="module")
def cuda_check() -> ModuleType:
    loader = SourceFileLoader("cuda_check", str(SCRIPT))
    module = ModuleType(loader.name)
    loader.exec_module(module)
    return module


@pytest.mark.skipif(cuda_is_usable(), reason="there is a CUDA device: run the script itself")
def test_without_a_device_it_says_so_and_succeeds(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert done.stdout.startswith("no CUDA device is usable here")


def test_floats_on_the_cpu_are_found_in_a_profile(cuda_check: ModuleType) -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17]>
        net (float[N, 4] x) => (float[M, 2] y, int64[2] sizes)
        { shape = Shape (x)
          half = Constant <value_ints = [1, 2]> ()
          sizes = Div (shape, half)
          rows = Constant <value_ints = [-1, 2]> ()
          folded = Reshape (x, rows)
          y = Tanh (folded) }
    """)
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    (y, sizes), strays = cuda_check.profiled(model, [CPU], {"x": x})
    np.testing.assert_allclose(y, np.tanh(x.reshape(-1, 2)), atol=1e-6)
    assert (sizes.tolist(), strays) == ([2, 2], ["Reshape", "Tanh"])


def test_differences_are_parts_of_the_largest_magnitude(cuda_check: ModuleType) -> None:
    got, expected = [np.array([1.0, -4.5]), np.zeros(2)], [np.array([1.0, -4.0]), np.zeros(2)]
    assert cuda_check.difference(got, expected) == pytest.approx(0.125)
    assert cuda_check.difference([np.array([0.25])], [np.array([0.0])]) == 0.25


@pytest.mark.parametrize("method", METHODS)
def test_with_fixed_sizes_nothing_is_computed_of_shapes(cuda_check: ModuleType, method: str) -> None:
    """So that nothing is left which ONNX Runtime would place on the CPU."""
    model = onnx.load(MODEL)
    image = {name: value[:1] for name, value in random_inputs(model, np.random.default_rng(0), 224).items()}
    explained = rewrite(cuda_check.with_fixed_sizes(model, image), method=method)
    assert [node.name for node in explained.graph.node if node.op_type in ("Shape", "Size")] == []


def test_fixed_sizes_change_no_value(cuda_check: ModuleType) -> None:
    model = small_cnn()
    feeds = random_inputs(model, np.random.default_rng(0), 8)
    plain, fixed = (cuda_check.session(one, [CPU]) for one in (model, cuda_check.with_fixed_sizes(model, feeds)))
    assert [value.shape for value in fixed.get_inputs()] == [list(value.shape) for value in feeds.values()]
    assert cuda_check.difference(fixed.run(None, feeds), plain.run(None, feeds)) == 0
