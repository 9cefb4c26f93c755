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
        at: which tensors `build` is given, and where its map is: "layer": a layer, there; "input": the input, there;
            "both": the input and a layer, at the input; "model": the input, one value per position of it.
        rules: the backward rule set that it uses unless another is asked for.
        backward: how the gradients there are made; by default one reverse sweep from the score.
        build: emits the map from them; its keyword-only parameters are the method's options.
    """

    name: str
    at: At
    rules: str
    backward: Backward
    build: Build


METHODS: dict[str, Method] = {}
RESERVED: dict[str, str] = {}  # methods that no model can hold, by name, and why


def reserve(name: str, reason: str) -> None:
    """Keeps a name for a method that no model can hold, so that it has one meaning wherever methods are named.

    Args:
        name: as users call it.
        reason: the end of the sentence "method ... ", for those who ask for a model that holds it.

    Raises:
        ValueError: the name is taken.
    """
    _require_free(name)
    RESERVED[name] = reason


def method(
    name: str, *, at: At = "layer", rules: str = "standard", backward: Backward = plain_backward
) -> Callable[[Build], Build]:
    """Registers the decorated function as a method.

        @method("hires-cam")
        def hires_cam(layer: ExplainedTensor) -> Tensor:
            return layer.op.ReduceSum(layer.op.Mul(layer.gradient, layer.activation), [1], keepdims=1)

    It gets an `ExplainedTensor` (two for at="both": the input, then the layer) with its `activation` and `gradient`,
    both [rows, C, *spatial], and returns the map: [rows, 1, *spatial] for "layer" and "model", else [rows, C, *size].
    """

    def register(build: Build) -> Build:
        _require_free(name)
        METHODS[name] = Method(name, at, rules, backward, build)
        return build

    return register


def find_method(name: str) -> Method:
    """The method by name.

    Raises:
        UsageError: there is none, or it is none that a model can hold.
    """
    if name in RESERVED:
        raise UsageError(f"method {name!r} {RESERVED[name]}")
    if name not in METHODS:
        raise UsageError(f"unknown method {name!r}; {closest(name, [*METHODS, *RESERVED])}")
    return METHODS[name]


def _require_free(name: str) -> None:
    if name in METHODS or name in RESERVED:
        raise ValueError(f"a method named {name!r} is registered already")


def describe(value: Any) -> str:
    """An option's default as users write it."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)
