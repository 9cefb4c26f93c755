"""Times of several runs beside each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

WARM_UP = 1  # rounds
SHORT = 0.25  # seconds; such runs are done twice, as the first fetches anew what the others drove from the caches


def interleaved(
    runs: Mapping[str, Callable[[], object]], seconds: float, rounds: int, pause: float = 0
) -> dict[str, float]:
    """Runs all in turn, round after round, so that what slows the machine down slows all.

    Args:
        runs: what is timed, by name.
        seconds: so long at least, and
        rounds: so many rounds at least.
        pause: seconds before each run, in which threads of the one before come to rest.

    Returns:
        The median time of each in seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    end, done = time.perf_counter() + seconds, -WARM_UP
    while done < rounds or time.perf_counter() < end:
        for name, run in runs.items():
            time.sleep(pause)
            elapsed = _timed(run)
            if elapsed < SHORT:
                elapsed = _timed(run)
            if done >= 0:
                times[name].append(elapsed)
        done += 1
    return {name: statistics.median(one) for name, one in times.items()}


def _timed(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin
