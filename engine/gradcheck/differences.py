"""Gradients against central differences, in float64 by numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from .finding import Finding
from .float64.session import Float64Session

# Central differences in float64. Networks of ReLUs are linear between kinks, so the step may be small: on
# EfficientNet-Lite0 a step of 1e-6 crosses so many of its 6 million kinks that the difference is off by 9e-4.
STEP = 1e-8  # relative to the size of what is moved
# Feature maps behind a ReLU hold exact zeros, where a max pooling has no derivative: the check starts beside them.
OFFSET = 1e-3
# How far directions lean along the gradient, in standard deviations of what a random one holds of it.
LEANING = 3
# A gradient that is wrong by 0.05 % is caught; the few kinks that a step crosses stay below.
TOLERANCE = 2e-4
# Cosine between the runtime's float32 gradient and the float64 one: single ReLUs may flip between the two.
MIN_COSINE = 0.99


class DifferenceCheck:
    """Compares the gradients of a verification model with differences of its values.

    What lies behind the layer is run from its feature maps on; the whole network is run three times, and once more for
    the gradient at the input.

    Args:
        model: the model, and `names`: what it calls its inputs and outputs, see `verification_model`.
        feeds: its inputs.
        image: the input that is explained.
        top: int64 [samples, 1], the classes that score highest.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        names: dict[str, str],
        feeds: dict[str, np.ndarray],
        image: str,
        top: np.ndarray,
    ) -> None:
        self._session = Float64Session(model)
        self._names = names
        self._feeds = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in feeds.items()}
        self._feeds[names["offset"]] = np.zeros(())
        (activation,) = self._session.run([names["activation"]], self._feeds)
        self._behind = {names["layer"]: activation}
        value = self._value(self._behind)
        cotangent = np.zeros_like(value).reshape(len(value), -1)
        np.put_along_axis(cotangent, top, 1, axis=1)
        self._at_top = self._vjp(cotangent.reshape(value.shape), "layer_gradient", self._behind)

        rng = np.random.default_rng(1)
        self._scales = {names["offset"]: _rms(activation), image: _rms(self._feeds[image])}
        self._feeds[names["offset"]] = OFFSET * _rms(activation) * rng.normal(size=activation.shape)
        self._cotangent = rng.normal(size=value.shape)

    def against_runtime(self, gradient: np.ndarray, order: Sequence[int] | None = None) -> Finding:
        """The runtime's gradient of the top class at the layer against the float64 one; `order` as of `token_order`."""
        expected = self._at_top
        if expected.shape != gradient.shape:  # the file lays channels last, the contract first
            expected = np.moveaxis(expected, -1, 1)
        if expected.ndim < gradient.ndim:  # the tokens at the end fill a grid
            grid = expected[..., -int(np.prod(gradient.shape[2:])) :] if order is None else expected[..., list(order)]
            expected = grid.reshape(gradient.shape)
        norms = float(np.linalg.norm(expected) * np.linalg.norm(gradient))
        cosine = float(np.vdot(expected, gradient)) / norms if norms else float(expected.any() == gradient.any())
        return Finding("runtime gradient", cosine >= MIN_COSINE, f"cosine {cosine:.6f} with the float64 gradient", 1)

    def along(self, gradient: str, moved: str, rng: np.random.Generator) -> Finding:
        """<gradient, direction> against a central difference of <logits, cotangent> along a random direction.

        `moved` is the image's name, or "offset", which moves the layer.

        Where they differ, from two places beside as well, which must both agree: a step may cross a kink, or the jump
        of a quantiser that saturates, but hardly everywhere; a wrong gradient is wrong at all of them.
        """
        moved = self._names.get(moved, moved)
        start = np.asarray(self._feeds[moved])
        finding = self._along_one(gradient, moved, start, rng)
        if finding.passed:
            return finding
        further = []
        for _ in range(2):
            beside = start + OFFSET * self._scales[moved] * rng.normal(size=start.shape)
            further.append(self._along_one(gradient, moved, beside, rng))
        return further[0] if all(one.passed for one in further) else finding

    def _along_one(self, gradient: str, moved: str, start: np.ndarray, rng: np.random.Generator) -> Finding:
        given = self._behind if moved == self._names["offset"] else {}
        grad = self._vjp(self._cotangent, gradient, {**given, moved: start})
        # Leant along the gradient, so that its terms do not cancel: an error would cancel with them and pass unseen.
        direction = rng.normal(size=grad.shape) + LEANING * grad / (float(np.linalg.norm(grad)) or 1)
        step = STEP * self._scales[moved]
        plus, minus = (self._value({**given, moved: start + sign * step * direction}) for sign in (1, -1))
        slope = float(np.sum((plus - minus) * self._cotangent)) / (2 * step)
        expected = float(np.sum(grad * direction))
        # Relative to what the sum is made of, so that cancellation does not count as an error.
        scale = float(np.linalg.norm(grad * direction)) + abs(slope)
        error = abs(slope - expected) / scale if scale else 0.0
        name = gradient.replace("_", " ")
        detail = f"{expected:.9g}, central difference {slope:.9g}, error {error:.1e}"
        return Finding(name, error <= TOLERANCE, detail, 2)

    def _value(self, moved: dict[str, np.ndarray]) -> np.ndarray:
        return self._session.run([self._names["value"]], {**self._feeds, **moved})[0]

    def _vjp(self, cotangent: np.ndarray, gradient: str, moved: dict[str, np.ndarray]) -> np.ndarray:
        feeds = {**self._feeds, **moved, self._names["cotangent"]: cotangent}
        return self._session.run([self._names[gradient]], feeds)[0]


def _rms(values: np.ndarray) -> float:
    """The root of the mean square; 1 where that is 0."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) or 1.0
