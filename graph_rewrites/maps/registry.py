"""The methods by name: what each computes, where, and under which backward rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..errors import UsageError, closest
from ..graph.tensors import Tensor
from .backward_pass import Backward, plain_backward

Build: TypeAlias = Callable[..., Tensor]
At: TypeAlias = Literal["layer", "input", "both", "model"]


@dataclass(frozen=True)
class Method:
    """One explanation method.

    Attributes:
        name: as users call it.
        at: which places `build` is given, and where its map is: "layer": a layer, there; "input": the input, there;
            "both": the input and a layer, at the input; "model": the input, one value per position of it.
        rules: the backward rule set that it uses unless another is asked for.
        backward: how the gradients at its places are made; by default one reverse sweep from the score.
        build: emits the map from the places; its keyword-only parameters are the method's options.
    """

    name: str
    at: At
    rules: str
    backward: Backward
    build: Build


METHODS: dict[str, Method] = {}
# Methods that run a model many times; `onnxplain.Explainer` has them.
NEED_MANY_RUNS = ("score-cam", "ablation-cam", "occlusion", "rise", "smooth-grad", "integrated-gradients")


def method(
    name: str, *, at: At = "layer", rules: str = "standard", backward: Backward = plain_backward
) -> Callable[[Build], Build]:
    """Registers the decorated function as a method.

        @method("hires-cam")
        def hires_cam(layer: Place) -> Tensor:
            return layer.op.ReduceSum(layer.op.Mul(layer.gradient, layer.activation), [1], keepdims=1)

    It gets a `Place` (two for at="both": the input, then the layer) with the `activation` and the `gradient` there,
    both [rows, C, *spatial], and returns the map: [rows, 1, *spatial] for "layer" and "model", else [rows, C, *size].
    """

    def register(build: Build) -> Build:
        if name in METHODS or name in NEED_MANY_RUNS:
            raise ValueError(f"a method named {name!r} is registered already")
        METHODS[name] = Method(name, at, rules, backward, build)
        return build

    return register


def find_method(name: str) -> Method:
    """The method by name.

    Raises:
        UsageError: there is none, or it is none that a graph can hold.
    """
    if name in NEED_MANY_RUNS:
        raise UsageError(f"method {name!r} runs a model many times, so no model holds it; use onnxplain.Explainer")
    if name not in METHODS:
        raise UsageError(f"unknown method {name!r}; {closest(name, [*METHODS, *NEED_MANY_RUNS])}")
    return METHODS[name]


def describe(value: Any) -> str:
    """An option's default as users write it."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)
