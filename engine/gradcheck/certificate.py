"""A certificate for one model: which operators are differentiated how, and the checks that it passed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import onnx

from ...graph_rewrites.model.model import ModelSource, load, parse
from ...graph_rewrites.rewrite import rewrite
from ...graph_rewrites.targets.placement import RECEPTIVE_FIELD
from ...graph_rewrites.targets.scores.score import ScoreSource
from ...graph_rewrites.verification import coverage, open_sizes, spatial_axes_of, token_order, verification_model
from ..multi_pass.registry import Progress, silent
from ..runtime.runner import Arrays, Runner
from .differences import DifferenceCheck
from .finding import Finding, not_checked
from .independence import classes_apart, finite, images_apart
from .placement import cells_of
from .placement import placement as placement_of_map
from .preservation import preservation
from .random_inputs import SIDE, random_inputs

# Relative to the largest output: rounding where the runtime fuses other operators than before, or, in a model of
# narrower floats, computes other operators in float32. Some units of the last place.
OUTPUT_TOLERANCE = {onnx.TensorProto.FLOAT16: 4e-3, onnx.TensorProto.BFLOAT16: 3e-2}
FLOAT32_TOLERANCE = 1e-5
# Scales of dynamic quantisation come from all images of a batch, so that each moves the others' values by steps.
DYNAMIC_TOLERANCE = 0.1
OUTPUTS = ("score", "logits", "cam", "heatmap", "gradient", "activation")


@dataclass
class Certificate:
    """The findings on one model.

    `to_layer` and `to_input` count the operators between the score and the layer, and the score and the input, by how
    each is differentiated: (operator, nodes, "rule" | "function body" | "missing").
    """

    layer: str
    providers: list[str]
    to_layer: list[tuple[str, int, str]]
    to_input: list[tuple[str, int, str]]
    findings: list[Finding] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every check that could be made holds."""
        return all(finding.passed is not False for finding in self.findings)


def certify(
    model: ModelSource,
    *,
    layers: str | None = None,
    score: ScoreSource | None = None,
    placement: str = RECEPTIVE_FIELD,
    providers: Sequence[str] | None = None,
    side: int = SIDE,
    seed: int = 0,
    progress: Progress = silent,
) -> Certificate:
    """Checks an explanation of a model on seeded random inputs.

    The model's outputs must survive the rewriting; scores and maps must be finite; images and classes that are
    explained together must get what each gets alone; the layer must change where a block of pixels does, at the place
    that its map is drawn at; its gradients at the layer and at the input must equal central differences along a random
    direction, in float64 by numpy; and the runtime's gradient must agree with that. What a model does not allow to be
    checked is a finding too, which says why.

    Args:
        model: path or `ModelProto`.
        layers: the layer; default: the last convolutional one.
        score: the model output to explain; needed where there are several.
        placement: where the map has the layer's cells, as in `rewrite`.
        providers: ONNX Runtime providers.
        side: pixels, for spatial axes whose size is open.
        seed: of the random inputs and directions.
        progress: `(checks, total) -> checks`, which passes the checks on and may show them.

    Raises:
        UsageError, OnnxplainError: as `onnxplain.rewrite`.
    """
    subject = _Subject(model, layers, score, placement, providers, side, seed)
    record = subject.runner.record
    ends = (subject.layer, subject.runner.image)
    to_layer, to_input = (coverage(subject.source, start, record["score"]["logits"], score) for start in ends)
    certificate = Certificate(subject.layer, subject.runner.session.providers, to_layer, to_input)
    checks = subject.checks(takes_gradient=all(how != "missing" for _, _, how in to_input))
    for check in progress(checks, len(checks)):
        certificate.findings += check()
    return certificate


class _Subject:
    """The model that is certified, explained, with random inputs; the checks share their runs."""

    def __init__(
        self,
        model: ModelSource,
        layers: str | None,
        score: ScoreSource | None,
        placement: str,
        providers: Sequence[str] | None,
        side: int,
        seed: int,
    ) -> None:
        self.source, self._score, self._providers = parse(model), score, providers
        self._original = load(self.source)
        self._explained = rewrite(self.source, layers=layers, score=score, outputs=OUTPUTS, placement=placement)
        self.runner = Runner(self._explained, providers)
        (self.layer,) = self.runner.record["layers"]
        self._rng = np.random.default_rng(seed)
        self._feeds = random_inputs(self._explained, self._rng, side, open_sizes(self.source))
        del self._feeds[self.runner.names["target"]]
        self._is_differentiable = True

    def checks(self, takes_gradient: bool) -> list[Callable[[], Sequence[Finding]]]:
        """The checks in order; those after the third are in float64."""
        self._is_differentiable = takes_gradient and self._feeds[self.runner.image].dtype.kind == "f"
        return [self._preserved, self._apart, self._placed, self._at_runtime, self._at_layer, self._at_input]

    @cached_property
    def _top(self) -> np.ndarray:
        """The classes that score highest, int64 [N, 1]."""
        logits = self.runner.run(self._feeds, -1)["logits"]
        return np.asarray(logits.reshape(len(logits), -1).argmax(axis=1)[:, None])

    @cached_property
    def _found(self) -> Arrays:
        """What the explained model gives for all images."""
        return self.runner.run(self._feeds, self._top)

    @cached_property
    def _tolerance(self) -> float:
        types = {tensor.data_type for tensor in self._original.graph.initializer}
        return max([FLOAT32_TOLERANCE, *(OUTPUT_TOLERANCE.get(each, 0) for each in types)])

    def _preserved(self) -> list[Finding]:
        target, top = self.runner.names["target"], self._top
        runs = [(feeds, {**feeds, target: top[: len(feeds[self.runner.image])]}) for feeds in (self._feeds, self._one)]
        runs = runs[: 1 if len(self._one[self.runner.image]) == len(top) else 2]
        found = preservation(self._original, self._explained, runs, self._providers, self._tolerance)
        return [found, finite(self._found)]

    @cached_property
    def _images_apart(self) -> Finding:
        return images_apart(*self._compared)

    @cached_property
    def _compared(self) -> tuple[Runner, Arrays, np.ndarray, Arrays, float]:
        """The arguments of comparisons with what the model gives."""
        is_dynamic = any(node.op_type == "DynamicQuantizeLinear" for node in self._original.graph.node)
        tolerance = max(self._tolerance, DYNAMIC_TOLERANCE if is_dynamic else 0)
        return self.runner, self._feeds, self._top, self._found, tolerance

    @cached_property
    def _one(self) -> Arrays:
        """The inputs of one image, which speaks for all where they do not touch each other; else of all."""
        rows = None if self._images_apart.passed is False else self.runner.fixed_batch or 1
        return self.runner.rows_of(self._feeds, 0, rows)

    def _apart(self) -> list[Finding]:
        return [self._images_apart, classes_apart(*self._compared)]

    def _placed(self) -> list[Finding]:
        image, activation = self.runner.image, self._found["activation"][:1]
        feeds = self.runner.rows_of(self._feeds, 0, 1)
        axes, are_tokens = spatial_axes_of(self.source, image, self.layer)
        sizes = (feeds[image].shape, activation.shape[2:])
        cells = cells_of(self.runner.record, self.layer, axes, *sizes, are_tokens)
        return [placement_of_map(self.runner, feeds, self._top[:1], activation, cells)]

    @cached_property
    def _differences(self) -> DifferenceCheck:
        record, image = self.runner.record, self.runner.image
        wrt = image if self._is_differentiable else None
        model, names = verification_model(self.source, self.layer, record["score"]["logits"], wrt, self._score)
        return DifferenceCheck(model, names, self._one, image, self._top[: len(self._one[image])])

    def _at_runtime(self) -> list[Finding]:
        rows = len(self._one[self.runner.image])
        order = token_order(self.source, self.runner.image, self.layer)
        return [self._differences.against_runtime(self._found["gradient"][:rows, 0], order)]

    def _at_layer(self) -> list[Finding]:
        return [self._differences.along("layer_gradient", "offset", self._rng)]

    def _at_input(self) -> list[Finding]:
        if not self._is_differentiable:
            return [
                not_checked("input gradient", "the input holds integers, or an operator on the way has no gradient")
            ]
        return [self._differences.along("input_gradient", self.runner.image, self._rng)]
