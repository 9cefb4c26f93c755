"""Where values of either sign count, as those of tanh do, where the activations of rectifiers are non-negative."""

from __future__ import annotations

from collections.abc import Callable

import onnx_graphsurgeon as gs

from ...build.emitter import Emitter
from ...graph.operator_traits import traits_of
from ...graph.tensors import Tensor, is_float
from ...targets.scores.score import SCOPE as SCORE


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
        traits = traits_of(maker)
        return (
            traits.recurrent
            or (traits.odd and not traits.affine)
            or any(traits_of(reader).recurrent for reader in current.outputs)
            or (traits.multiplies and all(map(_is_linear, maker.inputs)))
        )

    return _among_sources(tensor, lambda node: traits_of(node).keeps_signs, is_signed)


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
            traits = traits_of(reader)
            if traits.recurrent or reader.op in ("Loop", "Scan"):
                return True
            joins = traits.adds or traits.multiplies
            read = reader.outputs[0] if joins else current
            if (traits.weighted or traits.averages or joins) and is_two_sided(op, read):
                return True
            if _cuts_no_sign(reader):
                waiting.extend(one for one in reader.outputs if one.name not in seen)
                seen.update(one.name for one in reader.outputs)
    return False


def is_score(node: gs.Node) -> bool:
    """Whether the node makes a score of the model's outputs."""
    return (node.name or "").startswith(SCORE)


def _is_linear(tensor: Tensor) -> bool:
    """Whether a layer with weights made the tensor, and nothing has cut a sign off."""
    return _among_sources(
        tensor, _cuts_no_sign, lambda current: bool(current.inputs) and traits_of(current.inputs[0]).weighted
    )


def _cuts_no_sign(node: gs.Node) -> bool:
    """Whether the node may lie between a layer and the one that reads its units, and lets both signs through."""
    traits = traits_of(node)
    return traits.keeps_signs or traits.affine or (traits.odd and traits.one_to_one)


def _among_sources(tensor: Tensor, through: Callable[[gs.Node], bool], found: Callable[[Tensor], bool]) -> bool:
    """Whether the tensor, or a float that it is made of `through` nodes of some kind, is what is looked for."""
    waiting, seen = [tensor], {tensor.name}
    while waiting:
        current = waiting.pop()
        if found(current):
            return True
        if current.inputs and through(current.inputs[0]):
            new = [one for one in current.inputs[0].inputs if one.name not in {*seen, ""} and is_float(one)]
            waiting.extend(new)
            seen.update(one.name for one in new)
    return False
