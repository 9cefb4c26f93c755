"""What one model costs to explain, measured in a process of its own; prints JSON.

`python -m benchmarks.speed.measure times MODEL BATCH SECONDS`, or `costs MODEL BATCH`.
"""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from .architectures import ARCHITECTURES
from .cases import CASES, PLAIN, built
from .memory import peak
from .timing import interleaved

ROUNDS = 3  # at least
LOADS = 3
PEAKS = 3  # processes, of which the least counts: the allocator sometimes takes more than is needed
WEIGHED = (PLAIN, "Grad-CAM", "gradient")  # whose memory and loading are measured

Values: TypeAlias = dict[str, float]  # by case
app = typer.Typer(add_completion=False)
Model = Annotated[str, typer.Argument()]
Batch = Annotated[int, typer.Argument()]


@app.command()
def times(model: Model, batch: Batch, seconds: Annotated[float, typer.Argument()]) -> None:
    """Prints the seconds that a run takes, by case."""
    with tempfile.TemporaryDirectory() as folder:
        files = built(ARCHITECTURES[model](), Path(folder), batch)
        sessions = {case: one.session() for case, one in files.items()}

        def run(case: str) -> Any:
            return sessions[case].run(None, files[case].feeds)

        print(json.dumps(interleaved({case: partial(run, case) for case in files}, seconds, ROUNDS)))


@app.command()
def costs(model: Model, batch: Batch) -> None:
    """Prints bytes, seconds to load and growth of the file, each by case."""
    with tempfile.TemporaryDirectory() as folder:
        files = built(ARCHITECTURES[model](), Path(folder), batch, [case for case in CASES if case in WEIGHED])
        found: dict[str, Values] = {
            "memory": {case: min(peak(one) for _ in range(PEAKS)) for case, one in files.items()},
            "loading": interleaved({case: one.session for case, one in files.items()}, 0, LOADS),
            "growth": {case: one.growth for case, one in files.items() if case != PLAIN},
        }
        print(json.dumps(found))


if __name__ == "__main__":
    app()
