"""Runs the studies one after the other: every table and picture of docs/studies.md, made anew.

    python -m studies [NAME ...]

Models are committed, so that none needs a training framework. Each study runs in a process of its own, which gives its
memory back; one that fails keeps none of the others from running, and makes the exit status 1.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from onnxplain.graph_rewrites.errors import closest
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]


class Study(NamedTuple):
    """What to run, `python -m` and this; the committed models that it needs, and the sections of the page it writes."""

    command: Sequence[str]
    models: Sequence[str]
    sections: Sequence[str]

    @property
    def missing(self) -> list[str]:
        """The models that are not there."""
        return [name for name in self.models if not any((ROOT / "exported_models" / name).glob("*.onnx"))]


CNNS = ("vqa_alexnet", "vqa_vgg16", "vqa_vgg19")
STUDIES: dict[str, Study] = {
    "captions": Study(("studies.grounding", "captions"), ("captioner",), ("captions",)),
    "answers": Study(("studies.grounding", "answers"), CNNS, ("answers",)),
    "depth": Study(("studies.depth",), ("scene_resnet",), ("depth", "depth-200")),
    "ablation": Study(("studies.ablation",), ("scene_resnet",), ("ablation",)),
    "bias": Study(("studies.bias",), ("bias",), ("bias",)),
    "occlusion": Study(
        ("studies.occlusion",), ("efficientnet_lite0", "scene_resnet"), ("occlusion", "occlusion-scenes")
    ),
    "segmentation": Study(("studies.segmentation",), ("segmentation",), ("segmentation",)),
}


class Done(NamedTuple):
    """How a study went: the reason why it failed, "" where it did not, and how long it took."""

    failure: str
    seconds: float


def run(study: Study) -> Done:
    """Runs a study; what it prints is shown."""
    if study.missing:
        folders = ", ".join(f"exported_models/{name}" for name in study.missing)
        return Done(f"lacks the models {folders}; train or check them out", 0)
    start = time.perf_counter()
    status = subprocess.run([sys.executable, "-m", *study.command], cwd=ROOT).returncode
    return Done(f"exit status {status}" if status else "", time.perf_counter() - start)


def run_all(
    names: Sequence[str], studies: Mapping[str, Study] = STUDIES, runner: Callable[[Study], Done] = run
) -> dict[str, Done]:
    """Runs the named studies, all for none, in the order of `studies`.

    Raises:
        ValueError: there is no study of a name.
    """
    for name in names:
        if name not in studies:
            raise ValueError(f"no study {name!r}; {closest(name, studies)}")
    console = Console(stderr=True)
    found = {}
    for name, study in studies.items():
        if not names or name in names:
            console.rule(name)
            found[name] = runner(study)
    return found


def summary(found: Mapping[str, Done]) -> Table:
    """A line a study, and one for all."""
    table = Table("study", "result", "seconds")
    table.columns[2].justify = "right"
    for name, done in found.items():
        table.add_row(name, done.failure or "done", f"{done.seconds:.0f}")
    table.add_section()
    failed = sum(bool(done.failure) for done in found.values())
    table.add_row(
        "all", f"{failed} failed" if failed else "done", f"{sum(done.seconds for done in found.values()):.0f}"
    )
    return table


def main() -> int:
    """Runs the studies named on the command line; the exit status is 1 where one failed, 2 for an unknown name."""
    try:
        found = run_all(sys.argv[1:])
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    Console().print(summary(found))
    return int(any(done.failure for done in found.values()))


if __name__ == "__main__":
    sys.exit(main())
