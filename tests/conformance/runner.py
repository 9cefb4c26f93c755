"""Judges node tests in several processes, and says what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile

from .verdict import FAIL, NOT_DIFFERENTIABLE, PASS, REFUSED, Verdict

ROOT = Path(__file__).parents[2]


def verdicts(words: Sequence[str] = (), processes: int = 2) -> list[Verdict]:
    """The verdicts of the node tests whose names contain one of `words`, of all by default."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.conformance.worker"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with ExitStack() as stack:
        outputs = [stack.enter_context(TemporaryFile("w+")) for _ in range(processes)]
        workers = [
            subprocess.Popen([*command, str(i), str(processes), *words], cwd=ROOT, env=environment, stdout=output)
            for i, output in enumerate(outputs)
        ]
        codes = [worker.wait() for worker in workers]
        if any(codes):
            raise RuntimeError("a worker of the conformance run failed; its error is printed above")
        for output in outputs:
            output.seek(0)
        lines = [line for output in outputs for line in output if line.startswith("{")]
    found = [from_json(line) for line in lines]
    return sorted(found, key=lambda verdict: (verdict.operator, verdict.name))


def to_json(verdict: Verdict) -> str:
    """The verdict in one line."""
    return json.dumps(asdict(verdict))


def from_json(line: str) -> Verdict:
    """The verdict that `to_json` wrote."""
    fields = json.loads(line)
    return Verdict(**fields | {"emitted": [tuple(kind) for kind in fields["emitted"]]})


def summary(found: Sequence[Verdict]) -> str:
    """The conformance line."""
    counts = Counter(v.status for v in found)
    refused = Counter(v.operator for v in found if v.status == REFUSED)
    by_operator = ", ".join(f"{operator} {count}" for operator, count in refused.most_common())
    return (
        f"{len(found) - counts[NOT_DIFFERENTIABLE]} differentiable, {counts[PASS]} pass, {counts[REFUSED]} refused "
        f"({by_operator}), {counts[FAIL]} fail"
    ).replace(" ()", "")


def runtime_summary(found: Sequence[Verdict]) -> str:
    """What ONNX Runtime made of the gradients that pass, in the tests' own float types."""
    runtime = Counter(v.runtime for v in found if v.status == PASS)
    return (
        f"of the tests that pass, ONNX Runtime gives the same result for {runtime['agrees']}, runs {runtime['runs']} "
        f"with other forward values, and has no kernel for the node test itself in {runtime['not in ONNX Runtime']}"
    )


def details(found: Sequence[Verdict]) -> str:
    """What is refused and what fails, by operator."""
    lines = []
    for status in (REFUSED, FAIL):
        groups: dict[str, list[Verdict]] = defaultdict(list)
        for v in found:
            if v.status == status:
                groups[v.operator].append(v)
        lines.append(f"\n== {status}: {len(groups)} operators")
        for operator, members in sorted(groups.items()):
            lines.append(f"{operator}: {len(members)}")
            lines += [f"    {v.name}: {v.reason[:240]}" for v in members]
    return "\n".join(lines)
