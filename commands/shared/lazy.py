"""Commands that are imported only when they run, so that `onnxplain --help` does not wait for their imports."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from .. import COMMANDS

FOLDER = Path(__file__).parents[1]


class LazyCommand(TyperCommand):
    """One of `COMMANDS`: the command list reads its help from the source; everything else imports its module."""

    def __init__(self, name: str, **_: Any) -> None:
        """Uses only the name; Typer's other arguments describe the placeholder function."""
        super().__init__(name)
        self.module = COMMANDS[name]
        del self.help, self.params, self.callback  # so that Python asks `__getattr__` for them

    def __getattr__(self, attribute: str) -> Any:
        """An attribute, on first access."""
        if attribute == "help":
            self.help = self._docstring()
        elif attribute in ("params", "callback"):
            command = self._imported()
            self.params, self.callback = command.params, command.callback
        else:
            raise AttributeError(f"{type(self).__name__} has no attribute {attribute!r}")
        return getattr(self, attribute)

    def _docstring(self) -> str | None:
        """The docstring of the command's function."""
        source = FOLDER.joinpath(*self.module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        functions = [one for one in ast.parse(source).body if isinstance(one, ast.FunctionDef)]
        return next(ast.get_docstring(one) for one in functions if one.name == self.name)

    def _imported(self) -> Any:
        """The command that Typer makes from the real function."""
        module = import_module(f"..{self.module}", __package__)
        app = typer.Typer(add_completion=False)
        app.command(self.name)(vars(module)[str(self.name)])
        return typer.main.get_command(app)


def add_commands(app: typer.Typer) -> None:
    """Adds all commands to the app."""

    def placeholder() -> None:
        """Replaces the command's function, which Typer requires immediately."""

    for name in COMMANDS:
        app.command(name, cls=LazyCommand)(placeholder)
