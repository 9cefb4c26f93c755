"""Methods of many runs beside plain batched inference of as many samples; prints JSON.

    python -m benchmarks.speed.many_runs MODEL

What they add per sample is the same for every network, so a light one shows it most.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxplain
import onnxruntime

from .architectures import ARCHITECTURES
from .cases import PLAIN, built, images, resting
from .timing import interleaved

OPTIONS: dict[str, dict[str, int]] = {"occlusion": {}, "score-cam": {}, "rise": {"masks": 512}}
BATCHES = (1, 8)  # of plain inference; the fastest counts
ROUNDS = 3


def main(name: str) -> None:
    """Measures and prints, by method: the samples, their seconds, and those of plain inference."""
    model, image = ARCHITECTURES[name](), images(1)
    with tempfile.TemporaryDirectory() as folder:
        plain = built(model, Path(folder), 1, ())[PLAIN].session()
        found = {}
        for method, options in OPTIONS.items():
            steps = Steps()
            explainer = explaining(model, method, options, steps)
            explainer.run({"image": image}, 0)
            runs: dict[str, Callable[[], object]] = {"explained": partial(explainer.run, {"image": image}, 0)}
            for rows in BATCHES:
                runs[str(rows)] = batched(plain, np.repeat(image, rows, axis=0), steps.total // rows)
            times = interleaved(runs, 0, ROUNDS)
            each = min(times[str(rows)] / (steps.total // rows * rows) for rows in BATCHES)
            found[method] = {"samples": steps.total, "seconds": times["explained"], "plain": each * steps.total}
        print(json.dumps(found))


class Steps:
    """As a progress display: takes note of how many samples a method runs."""

    total = 0

    def __call__(self, steps: Iterable[Any], total: int) -> Iterable[Any]:
        """Passes the steps on."""
        self.total = total
        return steps


def explaining(model: onnx.ModelProto, method: str, options: Mapping[str, Any], steps: Steps) -> onnxplain.Explainer:
    """An explainer whose threads rest between runs, as those of what it is compared with."""
    settings = resting(onnxruntime.SessionOptions())
    return onnxplain.Explainer(model, method=method, options=options, session_options=settings, progress=steps)


def batched(session: onnxruntime.InferenceSession, rows: np.ndarray, times: int) -> Callable[[], object]:
    """Plain inference of a batch, so many times."""
    return lambda: [session.run(None, {"image": rows}) for _ in range(times)]


if __name__ == "__main__":
    main(sys.argv[1])
