"""The command line: the options before the command, and the commands. Exit codes: 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .commands.shared.lazy import add_commands
from .engine.plugins import load_plugin
from .graph_rewrites.errors import OnnxplainError, UsageError

app = typer.Typer(
    help="Explain the predictions of exported ONNX models. Without a model, commands use the embedded one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
add_commands(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from . import __version__  # here, since it brings onnx, as the import in `main` does

        print(f"onnxplain {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(envvar="ONNXPLAIN_PLUGINS", help="A Python file or module with your own rules or methods."),
    ] = None,
) -> None:
    """Options before the command."""
    for name in plugin or ():
        load_plugin(name)


def main() -> None:
    """Runs the command line; an error is one line on stderr."""
    try:
        app()
    except OnnxplainError as error:
        from .commands.shared.output import report_error

        report_error(error)
        sys.exit(2 if isinstance(error, UsageError) else 1)
