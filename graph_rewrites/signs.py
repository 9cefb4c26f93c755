"""Which activations are of either sign by their nature, where those of rectifiers are non-negative."""

from __future__ import annotations

from collections.abc import Collection

from .tensors import Tensor, is_float

# Functions of either sign, the recurrent layers that end in one, and its derivatives' like.
TWO_SIDED = {"Tanh", "Softsign", "Erf", "RNN", "GRU", "LSTM"}
# Behind these, a value's sign is that of what went in.
KEEP_SIGNS = {
    *("Add", "Sum", "Mul", "Max", "Min", "Concat", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Pad", "Cast"),
    *("Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
}


def is_two_sided(tensor: Tensor, graph_inputs: Collection[str]) -> bool:
    """Whether a float tensor holds, in part at least, what a function of either sign made.

    So does what a Loop or Scan carries from step to step: inside its body that has no maker, and is no graph input.
    """
    waiting, seen = [tensor], set[str]()
    while waiting:
        current = waiting.pop()
        if current.name in seen:
            continue
        seen.add(current.name)
        if not current.inputs:
            if hasattr(current, "values") or current.name in graph_inputs:
                continue
            return True
        maker = current.inputs[0]
        if maker.op in TWO_SIDED:
            return True
        if maker.op in KEEP_SIGNS:
            waiting.extend(one for one in maker.inputs if one.name and is_float(one))
    return False
