"""Selection, and optionals, which onnx's reference evaluator computes wrongly.

Found with onnx 1.23:

    Unique                          sorted=0 indexes the first axis by positions in the flattened input
    Optional, OptionalGetElement    a list around the value that is never taken off again
    SequenceMap                     takes a second sequence apart only where there is no third input
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

Array: TypeAlias = np.ndarray[Any, Any]


class Unique(OpRun):
    def _run(self, x: Array, axis: int | None = None, sorted: int = 1) -> tuple[Array, ...]:
        values, first, inverse, counts = np.unique(x, True, True, True, axis=axis)
        if not sorted:  # in the order of first occurrence
            order = np.argsort(first)
            values = np.take(values, order, axis=0 if axis is None else axis)
            first, counts, inverse = first[order], counts[order], np.argsort(order)[inverse]
        return values, first, inverse.reshape(-1), counts


class Optional(OpRun):
    def _run(self, x: Any = None, type: Any = None) -> tuple[Any]:
        return (x,)


class OptionalGetElement(OpRun):
    def _run(self, x: Any) -> tuple[Any]:
        return (x,)


class SequenceMap(OpRun):
    def _run(self, sequence: list[Array], *further: Any, body: Any = None, attributes: Any = None) -> tuple[Any, ...]:
        columns = [x if isinstance(x, list) else [x] * len(sequence) for x in further]
        rows = [dict(zip(body.input_names, row, strict=True)) for row in zip(sequence, *columns, strict=True)]
        return tuple(map(list, zip(*(body.run(None, row, attributes=attributes) for row in rows), strict=True)))


SELECTION: list[type[OpRun]] = [Unique, Optional, OptionalGetElement, SequenceMap]
