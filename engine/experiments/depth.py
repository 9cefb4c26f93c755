"""Every layer of a network explained in one go: what each shows, how far it agrees with the last, and what it costs."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...graph_rewrites.errors import UsageError
from ...graph_rewrites.maps.registry import find_method
from ...graph_rewrites.model.model import ModelSource, parse
from ...graph_rewrites.targets.blocks import residual_blocks
from ...graph_rewrites.targets.scores.score import ScoreSource
from ..compare import Comparison, name_of
from ..evaluation.measures.rank_correlation import rank_correlation
from ..explained import explained_model
from ..explainer import Explainer, Source
from ..explanation import Explanation
from ..images.files import Image
from ..render.contact_sheet import contact_sheet
from ..render.line_plot import line_plot
from ..targets import Target

BLOCKS = "blocks"
MIN_PLOT = 600  # pixels, the width of the plot below few pictures


@dataclass
class Cost:
    """What a sweep takes.

    Attributes:
        seconds: by step: rewriting the model, loading the result, predicting by the original model, explaining.
        memory: the most bytes of memory that the process has held so far; None where the system does not tell.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    memory: int | None = None

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        """Takes the time of a step."""
        start = time.perf_counter()
        yield
        self.seconds[step] = time.perf_counter() - start
        self.memory = peak_memory()


@dataclass(frozen=True)
class Sweep:
    """The maps of one class of one image at several layers, in graph order.

    Attributes:
        explanations: one a layer.
        agreement: the rank correlation of each map with the last one, at the image's size; NaN of flat maps.
        cost: what it took.
    """

    explanations: list[Explanation]
    agreement: list[float]
    cost: Cost

    @property
    def sizes(self) -> list[str]:
        """The size of each layer's feature maps, as "14 x 14"."""
        return [map_size(one) for one in self.explanations]

    def picture(self) -> Image:
        """The maps line by line, and below them their agreement by depth; uint8 [H, W, 3] RGB."""
        rows = [str(one.layer) for one in self.explanations]
        texts = {
            one.layer: f"{size}, {'flat' if math.isnan(value) else f'{value:.2f}'}"
            for one, size, value in zip(self.explanations, self.sizes, self.agreement, strict=True)
        }
        cells = {(row, ""): one for row, one in zip(rows, self.explanations, strict=True)}
        heading = f"{name_of(self.explanations[0])}, {self.explanations[0].method}"
        grid = contact_sheet(Comparison(rows, [""], cells), heading=heading, describe=lambda one: texts[one.layer])
        width = max(grid.shape[1], MIN_PLOT)
        plot = line_plot({"rank correlation with the last layer": self.agreement}, self.sizes, width=width)
        return np.vstack([np.pad(grid, ((0, 0), (0, width - grid.shape[1]), (0, 0)), constant_values=255), plot])


def sweep(
    model: ModelSource,
    image: Source,
    *,
    layers: str | Sequence[str] | None = None,
    method: str = "grad-cam",
    rules: str | None = None,
    score: ScoreSource | None = None,
    options: Mapping[str, Any] | None = None,
    target: Target | None = None,
    inputs: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Sweep:
    """Explains one class of one image at every layer, by one rewritten model and one backward pass.

    Args:
        model: path or `ModelProto`.
        image: a path, or a uint8 [H, W, 3] RGB array.
        layers: layers by name, or "blocks": those that end a residual block, and the default one; default: all.
        method: a method that explains layers, a key of `METHODS`.
        rules: as in `Explainer`.
        score: as in `Explainer`.
        options: as in `Explainer`.
        target: a class, see `Explainer`; default: the top class.
        inputs: the model's further inputs.
        arguments: further arguments of `Explainer`.

    Raises:
        UsageError, OnnxplainError: as `Explainer`; or a method that explains no layer, several targets, or "blocks" of
            a model that has none.
    """
    if find_method(method).at != "layer":
        raise UsageError(f"method {method!r} explains the input, so it has no layers to sweep; take grad-cam")
    cost = Cost()
    with cost.of("rewriting"):
        source = parse(model)
        chosen: str | Sequence[str] = layers or "all"
        if chosen in (BLOCKS, [BLOCKS]):
            chosen = [one.name for one in residual_blocks(source, score=score)]
        how: dict[str, Any] = {"method": method, "rules": rules, "score": score, "options": options}
        explained = explained_model(source, layers=chosen, **how)
    with cost.of("loading"):
        explainer = Explainer(explained, method=method, **arguments)
    with cost.of("explaining"):
        found = explainer(image, target, inputs)
    if len({one.target for one in found}) > 1:
        raise UsageError(f"a sweep explains one class; not {target!r}")
    return Sweep(found, [rank_correlation(one.heatmap, found[-1].heatmap) for one in found], cost)


def map_size(explanation: Explanation) -> str:
    """The size of the map at its layer, as "14 x 14"; of an explained model that does not give it, of the heatmap."""
    values = explanation.heatmap if explanation.cam is None else explanation.cam
    return " x ".join(map(str, values.shape))


def peak_memory() -> int | None:
    """The most bytes of memory that this process has held; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
