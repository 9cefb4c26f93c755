"""Times of several runs beside each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

WARM_UP = 2  # rounds


def interleaved(runs: Mapping[str, Callable[[], object]], seconds: float, rounds: int) -> dict[str, float]:
    """Runs all in turn, round after round, so that what slows the machine down slows all.

    Args:
        runs: what is timed, by name.
        seconds: so long at least, and
        rounds: so many rounds at least.

    Returns:
        The median time of each in seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + seconds
    done = -WARM_UP
    while done < rounds or time.perf_counter() < end:
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            if done >= 0:
                times[name].append(time.perf_counter() - begin)
        done += 1
    return {name: statistics.median(one) for name, one in times.items()}
