"""Where the time goes: by operator, of the model's own nodes and of those that explain it."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

import onnxruntime
from rich.table import Table

from .cases import Built

RUNS = 15
OWN, ADDED = "forward", "explanation"
SCOPE = "onnxplain/"  # what names of appended nodes begin with


def profile(built: Built) -> dict[tuple[str, str], tuple[int, float]]:
    """Of each operator, forward and explanation apart: the number of nodes, and the sum of their median times in ms."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
        session = built.session(options)
        for _ in range(RUNS):
            session.run(None, built.feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    times: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            times[event["args"]["op_name"], event["name"]].append(event["dur"])
    found: dict[tuple[str, str], tuple[int, float]] = {}
    for (operator, name), durations in times.items():
        key = operator, ADDED if name.startswith(SCOPE) else OWN
        count, total = found.get(key, (0, 0.0))
        found[key] = count + 1, total + statistics.median(durations) / 1e3
    return found


def table(profiles: dict[str, dict[tuple[str, str], tuple[int, float]]]) -> Table:
    """A line an operator and side, those that take longest first; for each model the number of nodes and ms."""
    made = Table("operator", "side")
    for name in profiles:
        made.add_column(f"{name}: nodes", justify="right")
        made.add_column("ms", justify="right")
    keys = {key for one in profiles.values() for key in one}
    for key in sorted(keys, key=lambda key: -max(one.get(key, (0, 0.0))[1] for one in profiles.values())):
        cells = [one.get(key, (0, 0.0)) for one in profiles.values()]
        made.add_row(*key, *(text for count, total in cells for text in (str(count), f"{total:.2f}")))
    made.add_section()
    sums = [sum(total for _, total in one.values()) for one in profiles.values()]
    made.add_row("all", "", *(text for total in sums for text in ("", f"{total:.2f}")))
    return made
