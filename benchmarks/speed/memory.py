"""How much memory a session takes: of loading the model and running it, at most.

    python -m benchmarks.speed.memory MODEL.onnx INPUTS.npz

Prints bytes, beyond what the process had before. Linux only.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

from .cases import Built

RUNS = 3


def peak(built: Built) -> int:
    """What a process of its own needs to load and run a model, in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.npz"
        np.savez(inputs, **built.feeds)  # type: ignore[arg-type]
        command = [sys.executable, "-m", "benchmarks.speed.memory", str(built.path), str(inputs)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(model: str, inputs: str) -> None:
    """Loads, runs and prints."""
    feeds = dict(np.load(inputs))
    before = _most()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for _ in range(RUNS):
        session.run(None, feeds)
    print(_most() - before)


def _most() -> int:
    """The most memory that this process has held, in bytes; getrusage would count the process that started it too."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
