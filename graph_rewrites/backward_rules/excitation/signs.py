"""Where values of either sign count, as those of tanh do, where the activations of rectifiers are non-negative."""

from __future__ import annotations

from collections.abc import Callable, Collection

import onnx_graphsurgeon as gs

from ...build.builder import Emitter
from ...graph.tensors import Tensor, is_float
from ...targets.axes import WEIGHTED
from ...targets.score import SCOPE as SCORE

RECURRENT = {"RNN", "GRU", "LSTM"}
# Functions of either sign, the recurrent layers that end in one, and its derivatives' like.
TWO_SIDED = {"Tanh", "Softsign", "Erf", *RECURRENT}
AVERAGES = {"AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum"}
# Of two tensors, with a sign of its own.
JOINS = {"Add", "Sum", "Mean", "Mul"}
# Behind these, a value's sign is that of what went in.
KEEP_SIGNS = {
    *("Max", "Min", "Concat", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Pad", "Cast", "Reshape", "Slice"),
    *("Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "MaxPool", "GlobalMaxPool", "ReduceMax"),
    *(JOINS | AVERAGES),
}
# What may lie between a layer and the one that reads its units, and cuts no sign off.
BETWEEN = {*KEEP_SIGNS, "Tanh", "Softsign", "Sub", "Div", "BatchNormalization"}


def is_two_sided(op: Emitter, tensor: Tensor) -> bool:
    """Whether a float tensor holds, in part at least, values of either sign by their nature.

    Those are what a function of either sign made; the product of two linear layers, as of an image's and a question's;
    and what a recurrent layer reads. So is what a Loop or Scan carries from step to step: inside its body that has no
    maker. Of other linear layers negative outputs do not count, as no layer's do in Zhang et al. 2016.
    """
    given = {known.name for known in op.model.graph.inputs}  # the weights are among them

    def is_signed(current: Tensor) -> bool:
        if not current.inputs:
            return not hasattr(current, "values") and current.name not in given
        maker = current.inputs[0]
        return (
            maker.op in TWO_SIDED
            or any(reader.op in RECURRENT for reader in current.outputs)
            or (maker.op == "Mul" and all(map(_is_linear, maker.inputs)))
        )

    return _among_sources(tensor, KEEP_SIGNS, is_signed)


def counts_either_sign(op: Emitter, tensor: Tensor) -> bool:
    """Whether what reads a layer's units takes the negative ones too, where a rectifier would cut them off.

    Of the scores, which no layer reads, only what raises them counts.
    """
    waiting, seen = [tensor], set[str]()
    while waiting:
        current = waiting.pop()
        for reader in current.outputs:
            if is_score(reader):
                continue
            if reader.op in RECURRENT | {"Loop", "Scan"}:
                return True
            read = reader.outputs[0] if reader.op in JOINS else current
            if reader.op in WEIGHTED | AVERAGES | JOINS and is_two_sided(op, read):
                return True
            if reader.op in BETWEEN:
                waiting.extend(one for one in reader.outputs if one.name not in seen)
                seen.update(one.name for one in reader.outputs)
    return False


def is_score(node: gs.Node) -> bool:
    """Whether the node makes a score of the model's outputs."""
    return (node.name or "").startswith(SCORE)


def _is_linear(tensor: Tensor) -> bool:
    """Whether a layer with weights made the tensor, and nothing has cut a sign off."""
    return _among_sources(tensor, BETWEEN, lambda current: bool(current.inputs) and current.inputs[0].op in WEIGHTED)


def _among_sources(tensor: Tensor, through: Collection[str], found: Callable[[Tensor], bool]) -> bool:
    """Whether the tensor, or any of the floats that it is made of `through` some operators, is what is looked for."""
    waiting, seen = [tensor], {tensor.name}
    while waiting:
        current = waiting.pop()
        if found(current):
            return True
        if current.inputs and current.inputs[0].op in through:
            new = [one for one in current.inputs[0].inputs if one.name not in {*seen, ""} and is_float(one)]
            waiting.extend(new)
            seen.update(one.name for one in new)
    return False
