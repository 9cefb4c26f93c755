"""The pictures of images, drawn by this process or by the actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..graph_rewrites.errors import OnnxplainError, UsageError
from .explainer import Explainer
from .explanation import Explanation
from .runtime.cluster import spread
from .targets import Target

Drawn: TypeAlias = tuple[Explanation, dict[str, bytes]]  # without its arrays, and what its files hold, by suffix
Result: TypeAlias = list[Drawn] | OnnxplainError  # of an image: its explanations, or why there are none
Draw: TypeAlias = Callable[[Sequence[Path]], Iterable[tuple[Path, Result]]]  # the images, each once, in any order


@dataclass(frozen=True)
class Drawing:
    """What is drawn of each image; may be pickled.

    Attributes:
        model: the ONNX file.
        target: as in a call of `Explainer`.
        inputs: the model's further inputs.
        suffixes: of the files written for each explanation, .png the first.
        arguments: further arguments of `Explainer`.
    """

    model: Path
    target: Target | Sequence[Target] | None = None
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    suffixes: tuple[str, ...] = (".png",)
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def here(self, explainer: Explainer, paths: Sequence[Path]) -> Iterator[tuple[Path, Result]]:
        """Draws images in this process, as many at a time as the explainer takes.

        Raises:
            UsageError: what is asked for does not fit the model.
        """
        for place, attempts in groupby(explainer.attempts(paths, self.target, self.inputs), key=lambda one: one[0]):
            yield paths[place], self._result(result for _, result in attempts)

    def on_ray(self, paths: Sequence[Path]) -> Iterator[tuple[Path, Result]]:
        """Draws images on a Ray cluster, see `spread`; a UsageError is a result."""
        return zip(paths, spread(self, paths), strict=True)

    def __call__(self, session_options: Any) -> Callable[[Path], Result]:
        """What an actor does with an image."""
        explainer = Explainer(self.model, session_options=session_options, **self.arguments)

        def draw(path: Path) -> Result:
            try:
                ((_, result),) = self.here(explainer, [path])
            except UsageError as error:
                return error
            return result

        return draw

    def _result(self, explained: Iterable[Explanation | OnnxplainError]) -> Result:
        drawn = []
        for one in explained:
            if isinstance(one, OnnxplainError):
                return one
            try:
                drawn.append(self._drawn(one))
            except OnnxplainError as error:
                return error
        return drawn

    def _drawn(self, one: Explanation) -> Drawn:
        no_map, no_image = np.zeros((1, 1), np.float32), np.zeros((1, 1, 3), np.uint8)
        light = replace(one, heatmap=no_map, cam=None, input_heatmap=no_map, logits=None, colours=None, image=no_image)
        return light, {suffix: one.encoded(f"explanation{suffix}") for suffix in self.suffixes}
