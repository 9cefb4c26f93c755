"""Which operators ONNX Runtime's CUDA provider has a kernel for, from `cuda_kernels.tsv` beside this file.

Read as the runtime does: the operator's schema at the model's opset says since when its version exists; an open row
(without an end) matches that version alone, a closed row any version inside it.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import onnx
from onnxplain.graph_rewrites.graph.tensors import schema

OLDEST, NEWEST = 17, onnx.defs.onnx_opset_version()


@cache
def kernels() -> dict[str, list[tuple[int, int, set[str]]]]:
    """The rows of the table by operator: from and to which version, and for which types (none: for all)."""
    lines = (Path(__file__).parent / "cuda_kernels.tsv").read_text().splitlines()[1:]
    found = defaultdict(list)
    for row in csv.DictReader(lines, delimiter="\t"):
        start = int(row["from"])
        found[row["op"]].append((start, int(row["to"] or start), {t for t in row["types"].split(",") if t}))
    return found


def has_kernel(op_type: str, element: str, opset: int) -> bool:
    """Whether an operator of the default domain runs on CUDA for data of an element type, at an opset."""
    specification = schema(op_type, opset)
    since = specification.since_version if specification else 0
    return any(
        start <= since <= end and (not types or element in types) for start, end, types in kernels().get(op_type, [])
    )


def without_kernel(emitted: Iterable[tuple[str, str]], opset: int) -> list[str]:
    """What of the emitted operators has no kernel at an opset; Identity and Constant are left out: none is run."""
    return sorted(
        {
            op_type if element == "float" else f"{op_type} of {element}"
            for op_type, element in emitted
            if op_type not in ("Identity", "Constant")
            and schema(op_type, opset)
            and not has_kernel(op_type, element, opset)
        }
    )


def coverage(emitted: Iterable[tuple[str, str]], first: int) -> str:
    """At which opsets from `first` on all that is emitted has a kernel; what lacks one at `first`, if there is none."""
    first, emitted = max(first, OLDEST), set(emitted)
    covered = [opset for opset in range(first, NEWEST + 1) if not without_kernel(emitted, opset)]
    if not covered:
        return f"no {', '.join(without_kernel(emitted, first))}"
    if covered == list(range(covered[0], covered[-1] + 1)):
        return f"{covered[0]} to {covered[-1]}" if len(covered) > 1 else str(covered[0])
    return ", ".join(map(str, covered))
