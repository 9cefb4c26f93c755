"""How many rows are computed together, and what the methods paint into them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxplain.engine.multi_pass.batch_tuner import FIRST, BatchTuner
from onnxplain.engine.multi_pass.models import scores_alone
from onnxplain.engine.multi_pass.registry import Sample
from onnxplain.engine.runtime.runner import Runner

from ...graph_rewrites.networks import Net


def feed(pace: BatchTuner, seconds_per_row: dict[int, float], runs: int) -> list[int]:
    """The rows of each run on a machine of these speeds; the first with a number of rows takes ten times as long."""
    rows: list[int] = []
    for _ in range(runs):
        rows.append(pace.rows)
        pace.took(pace.rows * seconds_per_row[pace.rows] * (10 if rows.count(pace.rows) == 1 else 1))
    return rows


def test_rows_are_doubled_while_that_is_faster() -> None:
    speeds = {8: 1.0, 16: 0.5, 32: 0.4, 64: 0.39}
    assert feed(BatchTuner(64), speeds, 9) == [8, 8, 16, 16, 32, 32, 64, 64, 32]


def test_rows_stay_where_more_are_no_faster() -> None:
    assert feed(BatchTuner(64), {8: 1.0, 16: 0.97}, 7) == [8, 8, 16, 16, 8, 8, 8]


@pytest.mark.parametrize(("most", "expected"), [(1, [1, 1, 1]), (12, [8, 8, 8]), (16, [8, 8, 16])])
def test_memory_sets_the_limit(most: int, expected: list[int]) -> None:
    assert feed(BatchTuner(most), {1: 1.0, 8: 1.0, 16: 0.1}, 3) == expected


def test_a_fixed_batch_stays() -> None:
    pace = BatchTuner(3, 3)
    with pace.timed(3):
        pass
    assert pace.rows == 3


def sum_of_pixels(dtype: int, batch: int | str) -> onnx.ModelProto:
    """y = [the sum of the pixels, 0] of images [N, 1, 2, 2]."""
    net = Net()
    pixels = net.add("Cast", net.input("image", [batch, 1, 2, 2], dtype), to=TensorProto.FLOAT)
    total = net.add("ReduceSum", pixels, net.const([1, 2, 3], np.int64), keepdims=0)
    pair = net.add("Mul", net.add("Unsqueeze", total, net.const([1], np.int64)), net.const([1.0, 0.0]))
    net.output(net.add("Identity", pair, out="y"), [batch, 2])
    return net.model()


@pytest.mark.parametrize("batch", ["N", 1, 3])
@pytest.mark.parametrize(("dtype", "kind"), [(TensorProto.FLOAT, np.float32), (TensorProto.UINT8, np.uint8)])
def test_each_image_is_painted_once_in_order_and_scored(dtype: int, kind: type, batch: int | str) -> None:
    """20 images of which the i-th holds i + 0.4 everywhere, which whole numbers round to i."""
    runner = Runner(scores_alone(sum_of_pixels(dtype, batch), None, None))
    inputs = {"image": np.zeros((1, 1, 2, 2), kind)}
    base = {"score": np.zeros((1, 1), np.float32)}
    painted: list[int] = []

    def paint(index: int, out: np.ndarray) -> None:
        painted.append(index)
        out[...] = index + 0.4

    scores = Sample(runner, inputs, np.array([0]), base).scores_of(paint, 20)
    each = np.arange(20) + (0 if kind is np.uint8 else 0.4)
    np.testing.assert_allclose(scores[:, 0], 4 * each, rtol=1e-6)
    assert painted == list(range(20))


def test_progress_counts_images_and_memory_bounds_the_rows() -> None:
    runner = Runner(scores_alone(sum_of_pixels(TensorProto.FLOAT, "N"), None, None))
    seen: list[int] = []

    def progress(steps: object, total: int) -> object:
        seen.append(total)
        return steps

    inputs = {"image": np.zeros((1, 1, 2, 2), np.float32)}
    sample = Sample(runner, inputs, np.array([0]), {}, progress, budget=3 * runner.peak_bytes(inputs))  # type: ignore[arg-type]
    rows = [len(results["score"]) for results in sample.run(lambda _, out: out.fill(0), 10)]
    assert (seen, rows) == ([10], [3, 3, 3, 1])
    assert FIRST > 3
