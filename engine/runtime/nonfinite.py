"""Where values that are no finite numbers arise: the node from which they came to a score or a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from .session import Session, without_fusions


def origin_of(
    model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], outputs: Sequence[str], providers: Sequence[str] | None
) -> str | None:
    """The node that makes the first value that is not finite, of finite ones, on the way to outputs, in words.

    The model is run once more, without fusions, with all that lies between as outputs; None where it does not show
    there, as of what a fusion rounded otherwise.
    """
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    known = {value.name for value in shown.graph.output}
    between = [name for node in model.graph.node for name in node.output if name and name not in known]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(between))
    session = Session(shown, providers, without_fusions())
    values = dict(zip(session.outputs, session.run(None, feeds), strict=True)) | dict(feeds)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output if name}
    name = next((output for output in outputs if not _is_finite(values.get(output))), None)
    while name in makers:
        node = makers[name]
        wrong = [each for each in node.input if not _is_finite(_value(each, values, weights))]
        if not wrong:
            return f"{node.op_type} (node {node.name or name!r}) makes the first"
        name = wrong[0]
    return None if name is None else f"they come from {name!r}"


def _value(name: str, values: Mapping[str, Any], weights: Mapping[str, onnx.TensorProto]) -> Any:
    return onnx.numpy_helper.to_array(weights[name]) if name in weights else values.get(name)


def _is_finite(value: Any) -> bool:
    """Whether all values are finite; of integers, sequences and what is unknown, too."""
    return not isinstance(value, np.ndarray) or value.dtype.kind != "f" or bool(np.isfinite(value).all())
