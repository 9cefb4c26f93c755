"""What is compared: one method of onnxplain with one peer's, on every model shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
import onnx
from onnxplain import Explainer
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.verification import as_float64

from .models import Subject

LIMIT = 1e-5  # the relative error that counts as none
Peer = Callable[[Subject], np.ndarray]
Scaling = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Comparison:
    """One row of the table.

    Attributes:
        method: onnxplain's.
        peer: the library, and how it was called where not by its defaults.
        theirs: the peer's map, [1, ...].
        output: the output of the explained model that is compared with it.
        options: onnxplain's for the method.
        scaling: what both maps go through first.
        without: shapes for which one side has no such map.
        differs: shapes where the maps differ for the reason that `remark` gives.
        remark: what is to be known beside the numbers.
    """

    method: str
    peer: str
    theirs: Peer
    output: str
    options: Mapping[str, Any] = field(default_factory=dict)
    scaling: Scaling = lambda values: values
    without: Sequence[str] = ()
    differs: Sequence[str] = ()
    remark: str = ""

    def error(self, subject: Subject) -> float | None:
        """The length of the difference over that of the peer's map; None where there is nothing to compare."""
        if subject.name in self.without:
            return None
        ours, theirs = self.scaling(self.ours(subject)), self.scaling(self.theirs(subject))
        if ours.shape != theirs.shape:
            raise ValueError(f"{self.method}, {subject.name}: ours has shape {ours.shape}, the peer's {theirs.shape}")
        return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))

    def ours(self, subject: Subject) -> np.ndarray:
        """onnxplain's map, [1, ...], from what its users run, in float64."""
        with mock.patch("onnxplain.engine.runtime.runner.Session", Float64Runs):
            explainer = Explainer(subject.proto, method=self.method, layers=[subject.layer], options=self.options)
            return explainer.run({"image": subject.image.numpy()}, subject.target)[self.output][:, 0]


class Float64Runs:
    """In place of a session with ONNX Runtime: the same model in float64, run by numpy."""

    def __init__(self, model: onnx.ModelProto, providers: object, options: object) -> None:
        self.session = Float64Session(as_float64(model))
        self.outputs = [output.name for output in model.graph.output]

    def run(self, outputs: Sequence[str] | None, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs, all for None."""
        wide = {name: v.astype(np.float64) if v.dtype == np.float32 else v for name, v in feeds.items()}
        return self.session.run(outputs, wide)


COMPARISONS: list[Comparison] = []


def compared(method: str, peer: str, output: str = "cam", **details: Any) -> Callable[[Peer], Peer]:
    """Registers the decorated function, which computes the peer's map, as one row; `details` as in `Comparison`."""

    def register(theirs: Peer) -> Peer:
        COMPARISONS.append(Comparison(method, peer, theirs, output, **details))
        return theirs

    return register


def by_maximum(values: np.ndarray) -> np.ndarray:
    """Divided by the largest magnitude."""
    return values / np.abs(values).max()


def to_unit_range(values: np.ndarray) -> np.ndarray:
    """The lowest value brought to 0, the highest to 1."""
    return (values - values.min()) / np.ptp(values)
