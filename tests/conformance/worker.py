"""Judges every n-th node test, one line of JSON each: `python -m tests.conformance.worker <i> <n> [words]`."""

import sys

from .node_tests import node_tests
from .runner import to_json
from .verdict import judge

start, step, *words = sys.argv[1:]
selected = [test for name, test in node_tests().items() if not words or any(word in name for word in words)]
for test in selected[int(start) :: int(step)]:
    print(to_json(judge(test)), flush=True)
