"""The page of results: tables of ratios, in which what misses its goal stands out."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

from studies.page import table

from .cases import CASES, CLASSES, PLAIN

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
NOTES = Path(__file__).parent / "notes.md"  # what was tried and why a goal is missed; ends the page
SEVERAL, SWEEP = f"Grad-CAM of {CLASSES} classes", "all layers"
METHODS = [case for case in CASES if case not in (SEVERAL, SWEEP)]
# Goals: the most that Grad-CAM and a whole gradient may cost, over the plain model.
GOALS = {
    "ResNet-50": (1.05, 2.3),
    "VGG-16": (1.12, 2.2),
    "MobileNetV2": (1.10, 2.5),
    "EfficientNet-Lite0": (1.05, 2.3),
    "DenseNet-121": (1.05, 2.3),
    "ConvNeXt-T": (1.10, 2.8),
    "ViT-B/16": (1.10, 2.8),
}
MOST_SEVERAL, MOST_SWEEP, MOST_MEMORY, MOST_GROWTH, MOST_SECONDS, MOST_MANY_RUNS = 1.25, 1.15, (1.2, 2.5), 0.01, 3, 1.1
LEAST_GRAD_CAM, LEAST_GRADIENT = 4, 1.3  # how many times the time that peers take at least

Key: TypeAlias = tuple[str, int]  # model, batch
Values: TypeAlias = Mapping[str, float]


@dataclass
class Results:
    """What was measured, as the modules print it."""

    times: dict[Key, list[Values]] = field(default_factory=dict)
    costs: dict[Key, Mapping[str, Values]] = field(default_factory=dict)
    peers: dict[Key, Mapping[str, Values]] = field(default_factory=dict)
    many_runs: list[Mapping[str, Values]] = field(default_factory=list)
    rewriting: Mapping[str, Values] = field(default_factory=dict)


def page(results: Results) -> str:
    """The text of RESULTS.md."""
    runs = max((len(one) for one in results.times.values()), default=0)
    packages = ("onnxplain", "onnxruntime", "onnx", "numpy", "torch", "grad-cam", "captum", "onnx-ad")
    versions = ", ".join(f"{name} {found}" for name in packages if (found := _version(name)))
    parts = [
        f"""# What an explanation costs

Made by `python -m benchmarks.speed` on {os.cpu_count()} cores of {_processor()}; Python {platform.python_version()},
{versions}. Weights are random and seeded, images are 224 x 224. Everything compared runs in turn in one process; a
figure is a ratio of medians there. For times, the table shows the lowest and the highest of {runs}
processes that ran one after another. **Bold** misses the goal.

## Time

Ratios to the plain model. The last two columns are ratios of {CLASSES} classes to one, and of all layers to the
gradient at the input.

{table(_heads(METHODS, f"{CLASSES} classes to one", "all layers to gradient"), _rows(results.times, _time_cells))}

## Memory, loading, files

Ratios to the plain model. Memory is the peak of a separate process that loads and runs the model.

{table(_heads(COSTS), _rows(results.costs, _cost_cells))}

Seconds to rewrite a model (goal: {MOST_SECONDS}):

{table(["model", "Grad-CAM", "gradient"], [[name, *_seconds(one)] for name, one in results.rewriting.items()])}
"""
    ]
    if results.peers:
        parts.append(f"""## Comparison with peers

The same weights in PyTorch. The ratio of their time to ours, for Grad-CAM (goal for pytorch-grad-cam: {LEAST_GRAD_CAM})
and for the gradient at the input (goal for torch.autograd: {LEAST_GRADIENT}).

{table(_heads(["torch's prediction to ours", *PEERS]), _rows(results.peers, _peer_cells))}

The largest difference between their results and ours, relative to our largest value. A gradient jumps if the value
before a ReLU is nearly 0 and rounding changes its sign. For this reason PyTorch's gradients differ for networks with
ReLU; those of onnx-ad, which runs the same forward pass as ours, do not. DenseNet-121's map for the explained class is
zero everywhere, with onnxplain and with the peers.

{table(_heads(PEERS), _rows(results.peers, _apart_cells))}
""")
    if results.many_runs:
        parts.append(f"""## Multi-pass methods

On MobileNetV2, where work other than running the model matters most. Ratios to plain inference of the same number of
samples, at the faster of one and eight at a time (goal: {MOST_MANY_RUNS}).

{table(["method", "samples", "ratio"], _many_runs_rows(results.many_runs))}
""")
    return "\n".join([*parts, NOTES.read_text()])


COSTS = [
    "plain, MB", "memory: Grad-CAM", "memory: gradient", "loading: Grad-CAM", "loading: gradient",
    "growth of the file: Grad-CAM", "gradient",
]  # fmt: skip
# The peers, and the case of ours that they are compared with.
COMPARED = {
    "pytorch-grad-cam": "Grad-CAM",
    "captum LayerGradCam": "Grad-CAM",
    "torch.autograd": "gradient",
    "captum Saliency": "gradient",
    "onnx-ad": "gradient",
}
PEERS = list(COMPARED)
LEAST = {"pytorch-grad-cam": LEAST_GRAD_CAM, "torch.autograd": LEAST_GRADIENT}


def _heads(*columns: str | Iterable[str]) -> list[str]:
    flat = [name for one in columns for name in ([one] if isinstance(one, str) else one)]
    return ["model", "batch", *flat]


def _rows(results: Mapping[Key, Any], cells: Callable[[str, Any], list[str]]) -> list[list[str]]:
    return [[name, str(batch), *cells(name, one)] for (name, batch), one in results.items()]


def _time_cells(model: str, runs: list[Values]) -> list[str]:
    cam, gradient = GOALS[model]
    goals = {case: cam if case == "Grad-CAM" else gradient for case in METHODS}
    pairs = [(case, PLAIN, goals[case]) for case in METHODS]
    pairs += [(SEVERAL, "Grad-CAM", MOST_SEVERAL), (SWEEP, "gradient", MOST_SWEEP)]
    return [
        _cell([one[case] / one[to] for one in runs], most=most) if case in runs[0] else "-" for case, to, most in pairs
    ]


def _cost_cells(model: str, costs: Mapping[str, Values]) -> list[str]:
    memory, loading, growth = (costs[name] for name in ("memory", "loading", "growth"))
    cases = ("Grad-CAM", "gradient")
    return [
        f"{memory[PLAIN] / 1e6:.0f}",
        *(_cell([memory[case] / memory[PLAIN]], most=most) for case, most in zip(cases, MOST_MEMORY, strict=True)),
        *(_cell([loading[case] / loading[PLAIN]]) for case in cases),
        *(_cell([growth[case]], most=MOST_GROWTH, form="{:.2%}") for case in cases),
    ]


def _peer_cells(model: str, peers: Mapping[str, Values]) -> list[str]:
    times = peers["times"]
    ratios = {peer: times[peer] / times[ours] for peer, ours in COMPARED.items() if peer in times}
    cells = [_cell([ratios[peer]], least=LEAST.get(peer)) if peer in ratios else "-" for peer in COMPARED]
    return [_cell([times["torch"] / times[PLAIN]]), *cells]


def _apart_cells(model: str, peers: Mapping[str, Values]) -> list[str]:
    return [f"{peers['apart'][peer]:.0e}" if peer in peers["apart"] else "-" for peer in COMPARED]


def _many_runs_rows(runs: list[Mapping[str, Values]]) -> list[list[str]]:
    rows = []
    for method, first in runs[0].items():
        ratios = [one[method]["seconds"] / one[method]["plain"] for one in runs]
        rows.append([method, f"{first['samples']:.0f}", _cell(ratios, most=MOST_MANY_RUNS)])
    return rows


def _seconds(values: Values) -> list[str]:
    return [_cell([value], most=MOST_SECONDS) for value in values.values()]


def _cell(values: list[float], *, most: float | None = None, least: float | None = None, form: str = "{:.2f}") -> str:
    """The lowest and the highest value as one text, bold where a goal is missed."""
    low, high = (form.format(pick(values)) for pick in (min, max))
    text = low if low == high else f"{low} to {high}"
    # By what is printed: a goal is not missed by less than the last digit.
    scale = 100 if "%" in form else 1
    shown = [float(one.rstrip("%")) / scale for one in (low, high)]
    missed = (most is not None and shown[1] > most) or (least is not None and shown[0] < least)
    return f"**{text}**" if missed else text


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.processor())
