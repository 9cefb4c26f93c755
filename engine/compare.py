"""Several methods, layers and classes of one image side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..graph_rewrites.errors import OnnxplainError, UsageError
from ..graph_rewrites.model.model import ModelSource, parse
from .explainer import Explainer, Source
from .explanation import Explanation
from .targets import Target

INPUT = "input"  # the column of methods that explain the input and no layer

Result = TypeVar("Result")


@dataclass(frozen=True)
class Comparison:
    """Explanations by row (methods) and column (layers, classes); a cell is missing where a method has no such map."""

    rows: list[str]
    columns: list[str]
    cells: dict[tuple[str, str], Explanation]

    @classmethod
    def stacked(cls, parts: Mapping[str, Comparison]) -> Comparison:
        """Comparisons of one row each, one below the other under new names."""
        columns = dict.fromkeys(column for part in parts.values() for column in part.columns)
        cells = {(name, column): one for name, part in parts.items() for (_, column), one in part.cells.items()}
        return cls(list(parts), list(columns), cells)


def compare(
    model: ModelSource,
    image: Source,
    *,
    methods: Sequence[str],
    layers: str | Sequence[str] | None = None,
    target: Target | Sequence[Target] | None = None,
    inputs: Mapping[str, Any] | None = None,
    on_error: Callable[[OnnxplainError], None] | None = None,
    **arguments: Any,
) -> Comparison:
    """Explains one image by several methods; all layers of a method come from one backward pass.

    Args:
        model: path or `ModelProto`.
        image: a path, or a uint8 [H, W, 3] RGB array.
        methods: methods by name.
        layers: layers by name, or "all"; default: the default layer.
        target: one or several targets, see `Explainer`.
        inputs: the model's further inputs.
        on_error: called for a method that this model does not allow, which is then left out; default: it is raised.
        arguments: further arguments of `Explainer`.
    """
    source = parse(model)
    cells: dict[tuple[str, str], Explanation] = {}
    columns: dict[str, None] = {}

    def explained(method: str) -> list[Explanation]:
        return Explainer(source, method=method, layers=layers, **arguments)(image, target, inputs)

    for method, found in by_method(methods, explained, on_error).items():
        several = len({one.target for one in found}) > 1
        for one in found:
            parts = [] if layers is None else [one.layer or INPUT]
            parts += [name_of(one)] if several or not parts else []
            column = " | ".join(parts)
            columns.setdefault(column)
            cells[method, column] = one
    ordered = sorted(columns, key=lambda column: column.startswith(INPUT))
    rows = dict.fromkeys(method for method, _ in cells)
    return Comparison(list(rows), ordered, cells)


def by_method(
    methods: Iterable[str],
    explain: Callable[[str], Result],
    on_error: Callable[[OnnxplainError], None] | None = None,
) -> dict[str, Result]:
    """What `explain` gives for each method.

    Args:
        methods: methods by name.
        explain: explains by one of them.
        on_error: called for a method that the model does not allow, which is then left out; default: it is raised.

    Raises:
        OnnxplainError: there is no method that the model allows.
    """
    found = {}
    for method in dict.fromkeys(methods):
        try:
            found[method] = explain(method)
        except UsageError:
            raise
        except OnnxplainError as error:
            if on_error is None:
                raise
            on_error(OnnxplainError(f"{method}: {error}"))
    if not found:
        raise OnnxplainError("none of the methods explains this model; see the errors above")
    return found


def name_of(explanation: Explanation) -> str:
    """The class as it is written beside a picture: its first name and its score."""
    label = (explanation.label or "").split(",")[0]
    return f"{explanation.target} {label}".strip() + f" {explanation.score:.2f}"
