"""Explained models on a CUDA device: every node is placed there, results equal the CPU's, and what it costs.

    python benchmarks/cuda_check.py [MODEL]

For each method, the model is explained twice. With fixed sizes (one image) ONNX Runtime must place every node on CUDA:
`session.disable_cpu_ep_fallback` refuses to load it otherwise. With the sizes that the file leaves open, ONNX Runtime
computes shapes on the CPU; a profile must show that it computes nothing else there. Prints a line per method, and exits
with 1 if one fails. Where no CUDA device is usable it says so and exits with 0.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxplain
import onnxruntime as ort
from onnxplain.engine.embedded import MODEL
from onnxplain.engine.gradcheck.random_inputs import random_inputs
from onnxplain.engine.runtime.session import CPU, CUDA, cuda_is_usable
from onnxplain.graph_rewrites.maps.registry import METHODS
from onnxruntime.tools.onnx_model_utils import make_input_shape_fixed
from rich.console import Console
from rich.table import Table

SIDE, CLASSES, ROUNDS, WARM_UP = 224, 3, 100, 10
TOLERANCE = 1e-3  # of an output's largest magnitude: both compute in float32, by other algorithms
INTEGERS = {"int64", "int32", "bool"}
# Without TF32, whose ten bits of fraction are a choice of speed over equality.
CUDA_EXACTLY = [(CUDA, {"use_tf32": "0"})]

Feeds = Mapping[str, np.ndarray]


def session(
    model: onnx.ModelProto, providers: list[Any], only_these: bool = False, profile: Path | None = None
) -> ort.InferenceSession:
    """A session; with `only_these` it does not load a model of which a node would run on the CPU for want of others."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if only_these:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return ort.InferenceSession(model.SerializeToString(), options, providers=providers)


def with_fixed_sizes(model: onnx.ModelProto, feeds: Feeds) -> onnx.ModelProto:
    """The model for inputs of these shapes alone."""
    fixed = onnx.ModelProto.FromString(model.SerializeToString())
    for name, value in feeds.items():
        make_input_shape_fixed(fixed.graph, name, list(value.shape))
    return fixed


def difference(got: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference of any output, as a part of that output's largest magnitude."""
    pairs = zip(got, expected, strict=True)
    return max(float(np.abs(a - b).max(initial=0) / (np.abs(b).max(initial=0) or 1)) for a, b in pairs)


def floats_on_cpu(profile: Path) -> list[str]:
    """The operators that, by a profile of ONNX Runtime's, computed something on the CPU that is no integer or bool."""
    found = set()
    for event in json.loads(profile.read_text()):
        details = event.get("args", {})
        kinds = {kind for output in details.get("output_type_shape", []) for kind in output}
        if details.get("provider") == CPU and kinds - INTEGERS:
            found.add(details["op_name"])
    return sorted(found)


def profiled(model: onnx.ModelProto, providers: list[Any], feeds: Feeds) -> tuple[list[np.ndarray], list[str]]:
    """The outputs of one run, and the operators that computed with floats on the CPU in it."""
    with tempfile.TemporaryDirectory() as folder:
        one = session(model, providers, profile=Path(folder) / "profile")
        outputs = one.run(None, dict(feeds))
        return outputs, floats_on_cpu(Path(one.end_profiling()))


def seconds(runs: Mapping[str, tuple[ort.InferenceSession, Feeds]]) -> dict[str, float]:
    """The median time of one run of each, interleaved, with all inputs and outputs on the device."""
    bound = {}
    for name, (one, feeds) in runs.items():
        binding = one.io_binding()
        for key, value in feeds.items():
            binding.bind_ortvalue_input(key, ort.OrtValue.ortvalue_from_numpy(value, "cuda", 0))
        for output in one.get_outputs():
            binding.bind_output(output.name, "cuda")
        bound[name] = (one, binding)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(WARM_UP + ROUNDS):
        for name, (one, binding) in bound.items():
            start = time.perf_counter()
            one.run_with_iobinding(binding)
            binding.synchronize_outputs()
            if round_ >= WARM_UP:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def check(model: onnx.ModelProto, method: str) -> tuple[float, float]:
    """Checks one method.

    Returns:
        The largest difference from the CPU's results, and the time of an explained run by that of a plain one.

    Raises:
        AssertionError: a node is on the CPU that should not be, or the results differ.
    """
    rng = np.random.default_rng(0)
    image = {name: value[:1] for name, value in random_inputs(model, rng, SIDE).items()}
    fixed = with_fixed_sizes(model, image)
    explained, feeds = onnxplain.rewrite(fixed, method=method), {**image, "target": np.array([[-1]])}
    try:
        on_cuda = session(explained, CUDA_EXACTLY, only_these=True)
    except Exception as error:
        raise AssertionError(f"not every node is on CUDA: {' '.join(str(error).split())}") from error
    one = difference(on_cuda.run(None, feeds), session(explained, [CPU]).run(None, feeds))

    as_it_is = onnxplain.rewrite(model, method=method)
    images = random_inputs(model, rng, SIDE)
    batch = len(next(iter(images.values())))
    sizes = {value.name: value.type.tensor_type.shape.dim for value in as_it_is.graph.input}["target"]
    images["target"] = np.tile(-1 - np.arange(sizes[1].dim_value or CLASSES), (batch, 1))
    outputs, strays = profiled(as_it_is, [*CUDA_EXACTLY, CPU], images)
    assert not strays, f"computed on the CPU: {', '.join(strays)}"
    many = difference(outputs, session(as_it_is, [CPU]).run(None, images))
    assert max(one, many) <= TOLERANCE, f"results differ from the CPU's by {max(one, many):.1e}"

    median = seconds({"plain": (session(fixed, CUDA_EXACTLY), image), "explained": (on_cuda, feeds)})
    return max(one, many), median["explained"] / median["plain"]


def main() -> None:
    """Checks every method and prints a table."""
    if CUDA not in ort.get_available_providers() or not cuda_is_usable():
        print("no CUDA device is usable here (or ONNX Runtime is the CPU's package): nothing was checked")
        return
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else MODEL
    model, failed = onnx.load(path), False
    title = f"{path.name}, ONNX Runtime {ort.__version__}"
    table = Table("method", "difference from the CPU", "explained / plain", title=title)
    for method in METHODS:
        try:
            off, ratio = check(model, method)
            table.add_row(method, f"{off:.1e}", f"{ratio:.3f}")
        except onnxplain.OnnxplainError as error:  # a method that this model does not fit
            table.add_row(method, str(error), "-")
        except AssertionError as error:
            failed = True
            table.add_row(method, f"[red]{error}", "-")
    Console().print(table)
    sys.exit(failed)


if __name__ == "__main__":
    main()
