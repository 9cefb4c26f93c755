"""A random graph's gradients: in float64 against central differences, and in float32 through ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
from onnxplain.engine.gradcheck.float64.session import Float64Session
from onnxplain.graph_rewrites.vjp import append_vjp

from .generator import Graph, Step

# Two, of which one may be too long beside a root of nearly 0 and the other too short for the digits of float64.
STEPS = (1e-6, 1e-7)


def fault(graph: Graph) -> str | None:
    """What is wrong with the graph's gradients, in words; None if nothing is."""
    model = graph.model()
    rng = np.random.default_rng(graph.seed + 1)
    x = rng.normal(size=graph.shape)
    try:
        (plain,) = _run(graph.model(kind="float"), ["y"], {"x": x.astype(np.float32)})
    except Exception:  # the reference took shapes that the specification does not allow
        return None
    forward = Float64Session(model)
    (y,) = forward.run(["y"], {"x": x})
    cotangent, direction = rng.normal(size=y.shape), rng.normal(size=x.shape)
    try:
        vjp = append_vjp(model, "y", "x")
        (grad,) = Float64Session(vjp).run(["x_grad"], {"x": x, "y_cotangent": cotangent})
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    slopes = []
    for step in STEPS:
        high, low = (forward.run(["y"], {"x": x + sign * step * direction})[0] for sign in (1, -1))
        slopes.append(float(np.sum((high - low) / (2 * step) * cotangent)))
    found = float(np.sum(grad * direction))
    scale = np.sum(np.abs(grad * direction)) + np.abs(cotangent * y).sum() * 1e-3 + 1e-6
    if not any(abs(found - slope) <= 1e-5 * (scale + abs(slope)) for slope in slopes):
        return f"float64: {found} where central differences are {slopes}"
    return _fault_in_runtime(graph, x, cotangent, plain)


def _fault_in_runtime(graph: Graph, x: np.ndarray, cotangent: np.ndarray, plain: np.ndarray) -> str | None:
    """The same for float32; nothing where the plain model does not run as the specification says."""
    exact = graph.rounded(x).model()
    feeds = {"x": x, "y_cotangent": cotangent}
    y, grad = Float64Session(append_vjp(exact, "y", "x")).run(["y", "x_grad"], feeds)
    single = {name: value.astype(np.float32) for name, value in feeds.items()}
    tolerance = 0.02 if graph.is_coarse else 1e-3
    if np.abs(plain - y).max() > tolerance * max(np.abs(y).max(), 1e-3):
        return None
    try:
        (found,) = _run(append_vjp(graph.model(kind="float"), "y", "x"), ["x_grad"], single)
    except Exception as error:
        return f"ONNX Runtime, where the plain model runs: {error}"
    worst, largest = np.abs(found - grad).max(), np.abs(grad).max()
    return None if worst <= tolerance * max(largest, 1e-3) else f"ONNX Runtime: off by {worst} of {largest}"


def _run(model: onnx.ModelProto, names: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    # ONNX Runtime 1.32 aborts where it makes a Slice between a DequantizeLinear and a Loop one of integers.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(names, feeds)]


def smallest(graph: Graph) -> tuple[Graph, str]:
    """The graph with as few steps as still fail, and what is wrong with it."""
    words = fault(graph) or ""
    shrunk = True
    while shrunk:
        shrunk = False
        for smaller in _smaller(graph):
            try:
                found = fault(smaller)
            except Exception:  # the reference does not run it
                continue
            if found:
                graph, words, shrunk = smaller, found, True
                break
    return graph, words


def _smaller(graph: Graph) -> list[Graph]:
    """The graph up to an earlier step, and without each of its steps."""
    steps = graph.steps
    prefixes = [replace(graph, steps=steps[:i]) for i in range(1, len(steps))]
    bypasses = []
    for i, gone in enumerate(steps[:-1]):

        def past(name: str, gone: Step = gone) -> str:
            return gone.x if name == gone.y else name

        rest = [replace(step, x=past(step.x), b=past(step.b)) for step in steps[i + 1 :]]
        bypasses.append(replace(graph, steps=(*steps[:i], *rest)))
    return [*prefixes, *bypasses]


def report(graph: Graph) -> str:
    """The smallest failing graph as text."""
    least, words = smallest(graph)
    return f"seed {graph.seed}: {words}\n{onnx.printer.to_text(least.model())}"
