"""Optimisers. Found with onnx 1.23: the reference evaluator's Adam rounds to float32 if it updates several tensors."""

from __future__ import annotations

from typing import Any, TypeAlias

from onnx.reference.op_run import OpRun
from onnx.reference.ops.aionnx_preview_training.op_adam import Adam as ReferenceAdam

Array: TypeAlias = Any


class Adam(ReferenceAdam):
    def _run(self, *data: Array, **attrs: Any) -> tuple[Array, ...]:
        rate, count, *tensors = data
        n = len(tensors) // 4
        one: Any = super()  # whose methods have no types
        updates = [one._run1(rate, count, *tensors[i::n], **attrs) for i in range(n)]
        return tuple(tensor for kind in zip(*updates, strict=True) for tensor in kind)


TRAINING: list[type[OpRun]] = [Adam]
