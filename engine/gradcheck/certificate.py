"""A certificate for one model: which operators are differentiated how, and the checks that it passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx

from ...graph_rewrites.graph.tensors import FLOAT_TYPES
from ...graph_rewrites.model.metadata import read_metadata
from ...graph_rewrites.model.model import ModelSource, load, parse
from ...graph_rewrites.rewrite import rewrite
from ...graph_rewrites.targets.score import ScoreSource
from ...graph_rewrites.verification import coverage, open_sizes, verification_model
from ..runtime.runner import Runner
from ..runtime.session import LOG_ERRORS, Session, import_onnxruntime
from .finding import Finding
from .float64.session import Float64Session
from .independence import independence

# Central differences in float64. Networks of ReLUs are linear between kinks, so the step may be small: on
# EfficientNet-Lite0 a step of 1e-6 crosses so many of its 6 million kinks that the difference is off by 9e-4.
STEP = 1e-8  # relative to the size of what is moved
# Feature maps behind a ReLU hold exact zeros, where a max pooling has no derivative: the check starts beside them.
OFFSET = 1e-3
# How far directions lean along the gradient, in standard deviations of what a random one holds of it.
LEANING = 3
# A gradient that is wrong by 0.05 % is caught; the few kinks that a step crosses stay below.
TOLERANCE = 2e-4
# Relative to the largest output: rounding where the runtime fuses other operators than before, or, in a model of
# narrower floats, computes other operators in float32. Some units of the last place.
OUTPUT_TOLERANCE = {onnx.TensorProto.FLOAT16: 4e-3, onnx.TensorProto.BFLOAT16: 3e-2}
FLOAT32_TOLERANCE = 1e-5
# Scales of dynamic quantisation come from all images of a batch, so that each moves the others' values by steps.
DYNAMIC_TOLERANCE = 0.1
# Cosine between the runtime's float32 gradient and the float64 one: single ReLUs may flip between the two.
MIN_COSINE = 0.99
BATCH, SIDE = 2, 64  # sizes put in for open batch and spatial axes


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
        """Whether every check holds."""
        return all(finding.passed for finding in self.findings)


def certify(
    model: ModelSource,
    *,
    layers: str | None = None,
    score: ScoreSource | None = None,
    providers: Sequence[str] | None = None,
    side: int = SIDE,
    seed: int = 0,
) -> Certificate:
    """Checks an explanation of a model on seeded random inputs.

    The model's outputs must survive the rewriting; its gradients at the layer and at the input must equal central
    differences along a random direction, in float64 by numpy; and the runtime's gradient must agree with that.

    Args:
        model: path or `ModelProto`.
        layers: the layer; default: the last convolutional one.
        score: the model output to explain; needed where there are several.
        providers: ONNX Runtime providers.
        side: pixels, for spatial axes whose size is open.
        seed: of the random inputs and directions.

    Raises:
        UsageError, OnnxplainError: as `onnxplain.rewrite`.
    """
    source = parse(model)
    original = load(source)
    explained = rewrite(source, layers=layers, score=score, outputs=("score", "cam", "heatmap", "gradient"))
    record = read_metadata(explained) or {}
    (layer,), logits, image = record["layers"], record["score"]["logits"], record["input"]["name"]
    target = record["names"]["target"]
    session = Session(explained, providers)
    to_layer, to_input = (coverage(source, start, logits, score) for start in (layer, image))
    certificate = Certificate(layer, session.providers, to_layer, to_input)
    rng = np.random.default_rng(seed)
    feeds = random_inputs(explained, rng, side, open_sizes(source))
    del feeds[target]

    takes_gradient = feeds[image].dtype.kind == "f" and all(how != "missing" for _, _, how in to_input)
    verification, names = verification_model(source, layer, logits, image if takes_gradient else None, score)
    check = _DifferenceCheck(verification, names, feeds, image)
    explained_feeds = {**feeds, target: check.top}
    after = _outputs(session, explained_feeds)
    tolerance = max((OUTPUT_TOLERANCE.get(t.data_type, 0) for t in original.graph.initializer), default=0)
    tolerance = max(tolerance, FLOAT32_TOLERANCE)
    same = _same_outputs(_outputs(Session(original, providers), feeds), after, tolerance)
    if not same.passed:
        plain, rewritten = (Session(each, providers, _without_fusions()) for each in (original, explained))
        unfused = _same_outputs(_outputs(plain, feeds), _outputs(rewritten, explained_feeds), tolerance)
        same = replace(same, passed=unfused.passed, detail=f"{same.detail}; without fusions {unfused.detail}")
    certificate.findings.append(same)
    is_dynamic = any(node.op_type == "DynamicQuantizeLinear" for node in original.graph.node)
    apart = max(tolerance, DYNAMIC_TOLERANCE if is_dynamic else 0)
    certificate.findings += independence(Runner(explained, providers), feeds, check.top, apart)
    runtime_gradient = after[record["names"]["gradient"]][:, 0]
    certificate.findings.append(check.against_runtime(runtime_gradient))
    certificate.findings.append(check.along("layer_gradient", names["offset"], rng))
    if takes_gradient:
        certificate.findings.append(check.along("input_gradient", image, rng))
    return certificate


def random_inputs(
    model: onnx.ModelProto, rng: np.random.Generator, side: int, sizes: Mapping[tuple[str, int], int] | None = None
) -> dict[str, np.ndarray]:
    """Random values for every input: normal floats, bytes, and zeros and ones for other integers.

    An open axis gets the size that `sizes` has for it; else a first axis the size 2, any other the size `side`.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    feeds: dict[str, np.ndarray] = {}
    for value in model.graph.input:
        if value.name in weights:
            continue
        kind = value.type.tensor_type
        known = {axis: size for (name, axis), size in (sizes or {}).items() if name == value.name}
        shape = [d.dim_value or known.get(at, side if at else BATCH) for at, d in enumerate(kind.shape.dim)]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if kind.elem_type in FLOAT_TYPES:
            feeds[value.name] = rng.normal(size=shape).astype(dtype)
        else:
            feeds[value.name] = rng.integers(0, 256 if dtype == np.uint8 else 2, size=shape).astype(dtype)
    return feeds


class _DifferenceCheck:
    """Compares gradients on the float64 verification model; `top` [samples, 1] are the classes that score highest."""

    def __init__(self, model: onnx.ModelProto, names: dict[str, str], feeds: dict[str, np.ndarray], image: str) -> None:
        self._session = Float64Session(model)
        self._names = names
        self._feeds = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in feeds.items()}
        self._feeds[names["offset"]] = np.zeros(())
        self._gradients = [name for name in ("layer_gradient", "input_gradient") if name in names]
        (activation,) = self._session.run([names["activation"]], self._feeds)
        value = self._value({})
        top = np.zeros_like(value).reshape(len(value), -1)
        self.top = value.reshape(top.shape).argmax(axis=1)[:, None]
        np.put_along_axis(top, self.top, 1, axis=1)
        self._at_top = self._vjp(top.reshape(value.shape))

        rng = np.random.default_rng(1)
        self._scales = {names["offset"]: _rms(activation), image: _rms(self._feeds[image])}
        self._feeds[names["offset"]] = OFFSET * _rms(activation) * rng.normal(size=activation.shape)
        self._cotangent = rng.normal(size=value.shape)
        self._signed = self._vjp(self._cotangent)

    def against_runtime(self, gradient: np.ndarray) -> Finding:
        """The runtime's gradient of the top class against the float64 one."""
        expected = self._at_top["layer_gradient"]
        if expected.shape != gradient.shape:  # the file lays channels last, the contract first
            expected = np.moveaxis(expected, -1, 1)
        if expected.ndim < gradient.ndim:  # the tokens at the end fill a grid
            grid = expected[..., -int(np.prod(gradient.shape[2:])) :]
            expected = grid.reshape(gradient.shape)
        norms = float(np.linalg.norm(expected) * np.linalg.norm(gradient))
        cosine = float(np.vdot(expected, gradient)) / norms if norms else float(expected.any() == gradient.any())
        return Finding("runtime gradient", cosine >= MIN_COSINE, f"cosine {cosine:.6f} with the float64 gradient")

    def along(self, gradient: str, moved: str, rng: np.random.Generator) -> Finding:
        """<gradient, direction> against a central difference of <logits, cotangent> along a random direction.

        Where they differ, from two places beside as well, which must both agree: a step may cross a kink, or the jump
        of a quantiser that saturates, but hardly everywhere; a wrong gradient is wrong at all of them.
        """
        start = np.asarray(self._feeds[moved])
        finding = self._along_one(gradient, moved, start, self._signed[gradient], rng)
        if finding.passed:
            return finding
        further = []
        for _ in range(2):
            beside = start + OFFSET * self._scales[moved] * rng.normal(size=start.shape)
            grad = self._vjp(self._cotangent, {moved: beside})[gradient]
            further.append(self._along_one(gradient, moved, beside, grad, rng))
        return further[0] if all(one.passed for one in further) else finding

    def _along_one(
        self, gradient: str, moved: str, start: np.ndarray, grad: np.ndarray, rng: np.random.Generator
    ) -> Finding:
        # Leant along the gradient, so that its terms do not cancel: an error would cancel with them and pass unseen.
        direction = rng.normal(size=grad.shape) + LEANING * grad / (float(np.linalg.norm(grad)) or 1)
        step = STEP * self._scales[moved]
        plus, minus = (self._value({moved: start + sign * step * direction}) for sign in (1, -1))
        slope = float(np.sum((plus - minus) * self._cotangent)) / (2 * step)
        expected = float(np.sum(grad * direction))
        # Relative to what the sum is made of, so that cancellation does not count as an error.
        scale = float(np.linalg.norm(grad * direction)) + abs(slope)
        error = abs(slope - expected) / scale if scale else 0.0
        name = gradient.replace("_", " ")
        return Finding(name, error <= TOLERANCE, f"{expected:.9g}, central difference {slope:.9g}, error {error:.1e}")

    def _value(self, moved: dict[str, np.ndarray]) -> np.ndarray:
        return self._session.run([self._names["value"]], {**self._feeds, **moved})[0]

    def _vjp(self, cotangent: np.ndarray, moved: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        wanted = [self._names[name] for name in self._gradients]
        feeds = {**self._feeds, **(moved or {}), self._names["cotangent"]: cotangent}
        results = self._session.run(wanted, feeds)
        return dict(zip(self._gradients, results, strict=True))


def _outputs(session: Session, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    values = session.run(None, {name: feeds[name] for name in session.inputs})
    return dict(zip(session.outputs, values, strict=True))


def _without_fusions() -> Any:
    """Session options that leave nodes apart.

    Where the gradient reads what lies between two nodes, they are not fused. Of quantised and float16 models that
    rounds outputs otherwise, by whole steps.
    """
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = LOG_ERRORS
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _same_outputs(before: dict[str, np.ndarray], after: dict[str, np.ndarray], tolerance: float) -> Finding:
    worst = 0.0
    for name, value in before.items():
        if value.dtype.kind == "f":
            difference = np.abs(value.astype(np.float64) - after[name])
            worst = max(worst, float(difference.max(initial=0) / max(np.abs(value).max(initial=0), 1e-30)))
        elif not np.array_equal(value, after[name]):
            worst = np.inf
    detail = "bit for bit" if worst == 0 else f"largest relative difference {worst:.1e}"
    return Finding("original outputs", worst <= tolerance, detail)


def _rms(values: np.ndarray) -> float:
    """The root of the mean square; 1 where that is 0."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) or 1.0
