"""What an explanation costs beside the prediction: ratios measured in one run, interleaved.

    python benchmarks/last_layer.py [MODEL]

Prints the time of the explained model as a ratio to the plain model's, for one image, and what rewriting costs.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxplain
import onnxruntime as ort
from onnxplain.engine.embedded import MODEL
from onnxplain.engine.gradcheck.random_inputs import random_inputs

ROUNDS, WARM_UP = 200, 20


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    """A CPU session with ONNX Runtime's defaults."""
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def main() -> None:
    """Measures and prints."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else MODEL
    start = time.perf_counter()
    explained = onnxplain.rewrite(path)
    seconds = time.perf_counter() - start
    model = onnx.load(path)
    feeds = {name: value[:1] for name, value in random_inputs(model, np.random.default_rng(0), 224).items()}
    runs = {
        "plain": (session(model), feeds),
        "explained": (session(explained), {**feeds, "target": np.array([[-1]])}),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(WARM_UP + ROUNDS):
        for name, (one, inputs) in runs.items():
            begin = time.perf_counter()
            one.run(None, inputs)
            if round_ >= WARM_UP:
                times[name].append(time.perf_counter() - begin)
    plain, cost = (statistics.median(times[name]) for name in runs)
    print(f"{path.name}: plain {plain * 1e3:.2f} ms, explained {cost * 1e3:.2f} ms, ratio {cost / plain:.3f}")
    print(f"rewriting {seconds:.2f} s, file growth {explained.ByteSize() / model.ByteSize() - 1:.2%}")


if __name__ == "__main__":
    main()
