"""How many rows are computed together: as many as the machine is fastest with, by measuring the runs themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

# Two cores took per row what they take with 8 rows, within 3 %, or longer: MobileNetV2 4.1 ms with 1, 3.95 with 8, 4.3
# with 64; ResNet-50 43.3, 38.8, 37.7; DenseNet-121 50.2, 30.5, 31.4; ViT-B/16 194, 189, 213.
FIRST = 8
GAIN = 1.05  # so much faster per row the double number must be, that noise alone does not change it


class BatchTuner:
    """The number of rows that are computed together, `rows`: doubled as long as that is faster per row.

    Args:
        most: how many the memory allows.
        first: how many to begin with.
    """

    def __init__(self, most: int, first: int = FIRST) -> None:
        self.most = most
        self.rows = min(first, most)
        self._settled = False
        self._runs = 0  # of the present number of rows; the first allocates, and does not count
        self._before = float("inf")  # seconds per row with half the rows

    @contextmanager
    def timed(self, rows: int) -> Iterator[None]:
        """Times a run of so many rows."""
        begin = time.perf_counter()
        yield
        if rows == self.rows:
            self.took(time.perf_counter() - begin)

    def took(self, seconds: float) -> None:
        """Takes note of a run of `rows` rows, and sets the number of the next."""
        self._runs += 1
        if self._settled or self._runs == 1:
            return
        each = seconds / self.rows
        if each * GAIN > self._before:
            self.rows, self._settled = self.rows // 2, True
        elif 2 * self.rows > self.most:
            self._settled = True
        else:
            self.rows, self._runs, self._before = 2 * self.rows, 0, each
