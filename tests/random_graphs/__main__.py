"""Checks random graphs from a seed on: `python -m tests.random_graphs SEED [COUNT]`."""

import sys
import warnings

from .check import fault, report
from .generator import random_graph

warnings.simplefilter("ignore")
seed, count = int(sys.argv[1]), int((sys.argv[2:] or ["200"])[0])
failing = [graph for graph in (random_graph(seed + i) for i in range(count)) if fault(graph)]
print(*map(report, failing), f"{len(failing)} of {count} graphs fail", sep="\n")
sys.exit(bool(failing))
