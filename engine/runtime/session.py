"""ONNX Runtime sessions: which provider runs a model, chosen openly."""

from __future__ import annotations

import ctypes
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ...graph_rewrites.errors import OnnxplainError, UsageError, closest
from ...graph_rewrites.model.model_file import MAX_PROTO_BYTES, is_large, save

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
LOG_ERRORS = 3  # onnxruntime.SessionOptions.log_severity_level: errors and fatal ones only


class Session:
    """One loaded model.

    Args:
        model: the model; past 2 GiB it is passed to ONNX Runtime as a file.
        providers: names, short ("cpu", "cuda") or full; default: CUDA where it is usable, else the CPU.
        options: an `onnxruntime.SessionOptions`; threads, profiling and log level are the caller's.

    Raises:
        UsageError: an unknown provider.
        OnnxplainError: ONNX Runtime is not installed, a provider asked for is missing, or the model does not load.
    """

    def __init__(self, model: onnx.ModelProto, providers: Sequence[str] | None = None, options: Any = None) -> None:
        ort = import_onnxruntime()
        chosen = choose_providers(providers)
        if options is None:
            options = ort.SessionOptions()
            options.log_severity_level = LOG_ERRORS
        try:
            if is_large(model, MAX_PROTO_BYTES):
                with tempfile.TemporaryDirectory() as folder:
                    save(model, Path(folder) / "model.onnx")
                    self._session = ort.InferenceSession(Path(folder) / "model.onnx", options, providers=chosen)
            else:
                self._session = ort.InferenceSession(model.SerializeToString(), options, providers=chosen)
        except Exception as error:
            raise OnnxplainError(f"ONNX Runtime cannot load the model: {_message(error)}") from error
        missing = [name for name in chosen if name not in self._session.get_providers()]
        if missing:
            raise OnnxplainError(f"{missing[0]} did not start; check its driver and libraries, or use --providers cpu")
        self.inputs: list[str] = [value.name for value in self.input_types]
        self.outputs: list[str] = [value.name for value in self.output_types]

    @property
    def providers(self) -> list[str]:
        """The providers in use, preferred first."""
        return list(self._session.get_providers())

    @property
    def input_types(self) -> list[Any]:
        """The inputs as ONNX Runtime describes them: `name`, `type`, and `shape` as its own inference completes it."""
        return list(self._session.get_inputs())

    @property
    def output_types(self) -> list[Any]:
        """The outputs, described likewise."""
        return list(self._session.get_outputs())

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Returns the named outputs (all for None).

        Raises:
            OnnxplainError: ONNX Runtime refused the inputs or failed.
        """
        try:
            return list(self._session.run(None if outputs is None else list(outputs), dict(feeds)))
        except Exception as error:
            raise OnnxplainError(f"ONNX Runtime cannot run the model: {_message(error)}") from error


def import_onnxruntime() -> Any:
    """The onnxruntime module.

    Raises:
        OnnxplainError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise OnnxplainError(
            "ONNX Runtime is not installed; run: pip install 'onnxplain[cpu]', or 'onnxplain[cuda]' for NVIDIA GPUs"
        ) from error
    return onnxruntime


def without_fusions() -> Any:
    """Session options under which nodes run one by one, as they stand in the file."""
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = LOG_ERRORS
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def choose_providers(names: Sequence[str] | None) -> list[str]:
    """Full provider names, preferred first; the CPU always stands last, for operators that others lack."""
    ort = import_onnxruntime()
    available = list(ort.get_available_providers())
    if names is None:
        names = [CUDA] if CUDA in available and cuda_is_usable() else []
    known = {name.removesuffix("ExecutionProvider").lower(): name for name in ort.get_all_providers()}
    chosen = []
    for name in names:
        full = known.get(name.removesuffix("ExecutionProvider").lower())
        if full is None:
            raise UsageError(f"unknown provider {name!r}; {closest(name.lower(), known)}")
        if full not in available:
            hint = "pip install 'onnxplain[cuda]'" if full == CUDA else "install an ONNX Runtime package that has it"
            raise OnnxplainError(f"{full} is not in the installed ONNX Runtime (it has {', '.join(available)}); {hint}")
        if full == CUDA and not cuda_is_usable():
            raise OnnxplainError(f"{full} was asked for, but no CUDA device is usable here; use --providers cpu")
        chosen.append(full)
    if CUDA in chosen and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # finds the CUDA and cuDNN libraries that pip installed
    return [*(name for name in chosen if name != CPU), CPU]


def cuda_is_usable() -> bool:
    """Asks the driver for a device; creating a session to find out would print errors where there is none."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def _message(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
