"""Commands that are imported when they are called for, so that `onnxplain --help` need not wait for what they need."""

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
    """One of `COMMANDS`: the list of commands reads its help from the source; all else imports its module."""

    def __init__(self, name: str, **_: Any) -> None:
        """Takes the name alone, of all that Typer knows of a function that stands for the command's."""
        super().__init__(name)
        self.module = COMMANDS[name]
        del self.help, self.params, self.callback  # so that Python asks `__getattr__` for them

    def __getattr__(self, attribute: str) -> Any:
        """What is asked for the first time."""
        if attribute == "help":
            self.help = self._docstring()
        elif attribute in ("params", "callback"):
            command = self._imported()
            self.params, self.callback = command.params, command.callback
        else:
            raise AttributeError(f"{type(self).__name__} has no attribute {attribute!r}")
        return getattr(self, attribute)

    def _docstring(self) -> str | None:
        """That of the command's function."""
        source = FOLDER.joinpath(*self.module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        functions = [one for one in ast.parse(source).body if isinstance(one, ast.FunctionDef)]
        return next(ast.get_docstring(one) for one in functions if one.name == self.name)

    def _imported(self) -> Any:
        """The command that Typer makes of the function itself."""
        module = import_module(f"..{self.module}", __package__)
        app = typer.Typer(add_completion=False)
        app.command(self.name)(vars(module)[str(self.name)])
        return typer.main.get_command(app)


def add_commands(app: typer.Typer) -> None:
    """Adds all commands to the app."""

    def stand_in() -> None:
        """In the place of a command's function, which Typer wants at once."""

    for name in COMMANDS:
        app.command(name, cls=LazyCommand)(stand_in)
