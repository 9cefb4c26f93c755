"""The table of `docs/runtimes.md`: `python -m tests.runtimes.page` writes it anew."""

from __future__ import annotations

from pathlib import Path

from onnxplain.graph_rewrites.maps.registry import METHODS

from .architectures import ARCHITECTURES
from .explained import UNDEFINED, WITHOUT_GRADIENTS, methods_of

PAGE = Path(__file__).parents[2] / "docs" / "runtimes.md"
BEGIN, END = "<!-- architectures:begin -->\n", "<!-- architectures:end -->\n"


def table() -> str:
    """One row an architecture, from what the tests run."""
    lines = ["| architecture | methods not defined for it | OpenVINO, reference evaluator |", "|---|---|---|"]
    rows = {"EfficientNet-Lite0, embedded (OpenVINO only)": ("", f"all {len(METHODS)}")}
    for name, build in ARCHITECTURES.items():
        description = (build.__doc__ or "").strip().rstrip(".")
        undefined = [f"`{method}`" for method in METHODS if method in UNDEFINED.get(name, set())]
        only = [f"`{method}`" for method in methods_of(name) if method in WITHOUT_GRADIENTS.get(name, set())]
        verified = f"only {', '.join(only)}: no gradients" if only else f"all {len(methods_of(name))}"
        rows[f"{name}: {description[0].lower()}{description[1:]}"] = (", ".join(undefined), verified)
    return (
        "\n".join([*lines, *(f"| {name} | {undefined} | {text} |" for name, (undefined, text) in rows.items())]) + "\n"
    )


def page() -> str:
    """The page with its table as it should be."""
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
