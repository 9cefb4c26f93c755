"""Runs all measurements, each in a process of its own, and writes the page; see the package's docstring."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .architectures import ARCHITECTURES
from .cases import CASES, PLAIN, built
from .pages import RESULTS, Results, page
from .profile import profile, table

BATCHES = (1, 8)
RUNS = 3
SECONDS = 8.0  # for each model, batch and run, at least
MANY_RUNS_OF = "MobileNetV2"
PEERS = ("torch", "onnx2torch", "pytorch_grad_cam", "captum", "onnx_ad")
console = Console(stderr=True)


def main(
    models: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="May be repeated; default: 1 and 8.")] = None,
    runs: Annotated[int, typer.Option(help="Processes that each time is measured in.")] = RUNS,
    seconds: Annotated[float, typer.Option(help="How long each model, batch and run is timed, at least.")] = SECONDS,
    profiled: Annotated[str | None, typer.Option("--profile", help="Show times by operator of this case.")] = None,
) -> None:
    """Measure what explanations cost, print it and, of all models, write it to benchmarks/RESULTS.md."""
    names = models or list(ARCHITECTURES)
    if unknown := [name for name in names if name not in ARCHITECTURES]:
        raise typer.BadParameter(f"no model {unknown[0]!r}; there are {', '.join(ARCHITECTURES)}")
    if profiled is not None and profiled not in CASES:
        raise typer.BadParameter(f"no case {profiled!r}; there are {', '.join(CASES)}")
    if profiled is not None:
        for name in names:
            show_profile(name, profiled)
        return
    missing = [name for name in PEERS if importlib.util.find_spec(name) is None]
    if missing:
        console.print(f"without peers, for want of {', '.join(missing)}: pip install '.[speed]'", markup=False)
    results = Results()
    for name in names:
        for size in batch or BATCHES:
            key = name, size
            results.times[key] = [measured("measure", "times", name, size, seconds) for _ in range(runs)]
            results.costs[key] = measured("measure", "costs", name, size)
            if not missing:
                try:
                    results.peers[key] = measured("peers", name, size, seconds)
                except subprocess.CalledProcessError as error:  # a peer's fault must not lose what was measured
                    console.print(f"{name}, batch {size}: no peers, {error}")
            console.print(f"{name}, batch {size}: measured")
    if MANY_RUNS_OF in names:
        results.many_runs = [measured("many_runs", MANY_RUNS_OF) for _ in range(runs)]
    results.rewriting = measured("rewriting")
    text = page(results)
    print(text)
    if not models and not batch:
        RESULTS.write_text(text)


def measured(module: str, *arguments: str | float) -> Any:
    """What a module of this package prints in a process of its own."""
    command = [sys.executable, "-m", f"benchmarks.speed.{module}", *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def show_profile(name: str, case: str) -> None:
    """Prints the times by operator of the plain model and of one case."""
    with tempfile.TemporaryDirectory() as folder:
        files = built(ARCHITECTURES[name](), Path(folder), 1, [case])
        if case not in files:
            raise typer.BadParameter(f"{name} has no ReLU, so that {case!r} changes nothing")
        Console().print(name, table({one: profile(files[one]) for one in (PLAIN, case)}))


if __name__ == "__main__":
    typer.run(main)
