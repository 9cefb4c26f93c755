"""Prints the conformance line, and what is refused and what fails by operator: `python -m tests.conformance [-j 2]`."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor

from .node_tests import node_tests
from .verdict import FAIL, NOT_DIFFERENTIABLE, PASS, REFUSED, Verdict, judge


def _judge(name: str) -> Verdict:
    return judge(node_tests()[name])


def verdicts(names: list[str], processes: int = 1) -> list[Verdict]:
    """The verdict of each named test."""
    if processes == 1:
        return [_judge(name) for name in names]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(_judge, names, chunksize=8))


def report(found: list[Verdict]) -> str:
    """The conformance line, then the refusals and failures."""
    counts = Counter(v.status for v in found)
    differentiable = len(found) - counts[NOT_DIFFERENTIABLE]
    runtime = Counter(v.runtime for v in found if v.status == PASS)
    lines = [
        f"{differentiable} differentiable, {counts[PASS]} pass, {counts[REFUSED]} refused, {counts[FAIL]} fail",
        f"in ONNX Runtime: {runtime['agrees']} agree, {runtime['runs']} run, "
        f"{runtime['not in ONNX Runtime']} have no kernel",
    ]
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


if __name__ == "__main__":
    wanted = [a for a in sys.argv[1:] if not a.isdigit()]
    jobs = next((int(a) for a in sys.argv[1:] if a.isdigit()), 1)
    names = [n for n in node_tests() if not wanted or any(w in n for w in wanted)]
    print(report(verdicts(names, jobs)))
