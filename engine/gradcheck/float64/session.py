"""Runs a model in float64 with numpy, independently of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from .attention import ATTENTION
from .control_flow import CONTROL_FLOW
from .functions import FUNCTIONS
from .movement import MOVEMENT
from .operators import REPLACEMENTS
from .quantised import QUANTISED
from .recurrent import RECURRENT
from .sampling import SAMPLING
from .selection import SELECTION
from .sequences import SEQUENCES
from .training import TRAINING


class Float64Session:
    """ONNX's reference evaluator, with faster or corrected operators; computes only what the outputs asked for need."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._evaluators: dict[tuple[str, ...], ReferenceEvaluator] = {}

    def run(self, outputs: Sequence[str] | None, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Returns the named outputs (all for None).

        `feeds` may hold tensors between inputs and outputs as well; what they are computed from is then not run.
        """
        names = tuple(output.name for output in self._model.graph.output) if outputs is None else tuple(outputs)
        between = feeds.keys() - {value.name for value in self._model.graph.input}
        key = (*names, *sorted(between))
        if key not in self._evaluators:
            self._evaluators[key] = ReferenceEvaluator(
                _only(self._model, names, between),
                new_ops=[
                    *ATTENTION,
                    *REPLACEMENTS,
                    *MOVEMENT,
                    *FUNCTIONS,
                    *SAMPLING,
                    *CONTROL_FLOW,
                    *QUANTISED,
                    *RECURRENT,
                    *SELECTION,
                    *SEQUENCES,
                    *TRAINING,
                ],
            )
        with np.errstate(all="ignore"):  # what is not finite is seen by its values
            return [np.asarray(value) for value in self._evaluators[key].run(list(names), feeds)]


def _only(model: onnx.ModelProto, outputs: Sequence[str], given: AbstractSet[str]) -> onnx.ModelProto:
    """The part of the model that some of its outputs need beside tensors that are given."""
    needed, nodes = set(outputs), []
    for node in reversed(model.graph.node):
        if (needed - given) & set(node.output):
            nodes.append(node)
            needed.update(_reads(node))
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.node[:], part.graph.output[:]
    part.graph.node.extend(nodes[::-1])
    part.graph.input.extend(onnx.ValueInfoProto(name=name) for name in sorted(given))
    part.graph.output.extend(output for output in model.graph.output if output.name in outputs)
    return part


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node and the nodes of its subgraphs read."""
    yield from node.input
    for attribute in node.attribute:
        yield from (output.name for output in attribute.g.output)
        for inner in attribute.g.node:
            yield from _reads(inner)
