"""Sequences, which onnx's reference evaluator computes wrongly in part.

Found with onnx 1.23, by comparison with ONNX Runtime:

    SequenceInsert    inserts at the front where the position is the sequence's length; refuses an empty sequence
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

Array: TypeAlias = np.ndarray[Any, Any]


class SequenceInsert(OpRun):
    """The sequence with a tensor at a position, without one given at the end."""

    def _run(self, sequence: Any, tensor: Array, position: Array | None = None) -> tuple[list[Array]]:
        elements = [] if sequence is None else list(sequence)
        elements.insert(len(elements) if position is None else int(position), tensor)
        return (elements,)


SEQUENCES: list[type[OpRun]] = [SequenceInsert]
