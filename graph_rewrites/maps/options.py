"""Options of a method: its keyword arguments, checked against its signature and read from text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..errors import UsageError, closest

SWITCHES = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def options_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The keyword-only parameters of a method with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def check_options(name: str, function: Callable[..., Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options given to the method `name`, of the types that its parameters are annotated with.

    Values may be text, as from a command line: "off", "0.5", "max".

    Raises:
        UsageError: an option that the method does not have, or a value that does not fit it.
    """
    known, hints = options_of(function), get_type_hints(function)
    checked = {}
    for option, value in (given or {}).items():
        if option not in known:
            offer = closest(option, known) if known else "it has none"
            raise UsageError(f"method {name!r} has no option {option!r}; {offer}")
        checked[option] = _fit(name, option, hints[option], value)
    return checked


def _fit(method: str, option: str, kind: Any, value: Any) -> Any:
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        if value in choices:
            return value
        raise UsageError(f"option {option!r} of {method!r} is one of {', '.join(map(str, choices))}; not {value!r}")
    if kind is bool:
        switched = value if isinstance(value, bool) else SWITCHES.get(str(value).lower())
        if switched is not None:
            return switched
        raise UsageError(f"option {option!r} of {method!r} is on or off; not {value!r}")
    try:
        fitted = kind(value)
        if isinstance(value, bool) or (kind is int and fitted != float(value)):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        what = {int: "a whole number", float: "a number"}.get(kind, f"of type {kind}")
        raise UsageError(f"option {option!r} of {method!r} is {what}; not {value!r}") from None
    return fitted
