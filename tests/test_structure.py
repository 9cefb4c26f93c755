"""The structure of the code, from its own files: which room imports which, cycles, sizes, and what the wheel holds."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    tomllib = None  # type: ignore[assignment]

ROOT = Path(__file__).parents[1]
PARTS = ("graph_rewrites", "engine", "commands")
# Rooms from the ground up: each imports from those before it, and from its own.
ROOMS = [
    "graph_rewrites.errors",
    "graph_rewrites.graph",
    "graph_rewrites.inference",
    "graph_rewrites.model",
    "graph_rewrites.build",
    "graph_rewrites.autodiff",
    "graph_rewrites.axes",
    "graph_rewrites.targets",
    "graph_rewrites.backward_rules",
    "graph_rewrites.maps",
    "graph_rewrites.pipeline",
    "graph_rewrites",
    "engine.images",
    "engine.plugins",
    "engine.embedded",
    "engine.runtime",
    "engine.multi_pass",
    "engine.gradcheck",
    "engine.render.overlays",
    "engine.labels",
    "engine.targets",
    "engine.explanation",
    "engine.results",
    "engine.explained",
    "engine.explainer",
    "engine.compare",
    "engine.records",
    "engine.render",
    "engine.drawing",
    "engine.folder",
    "engine.datasets",
    "engine.evaluation",
    "engine.audit",
    "engine.experiments",
    "engine.language",
    "engine",
    "commands",
    "extend",
    "cli",
]
FLAT = 12  # modules in one folder, its __init__ not counted
LINES = 400


@cache
def modules() -> dict[str, Path]:
    """The package's modules by name, `graph_rewrites.build.emitter`; a package by its __init__."""
    files = [file for part in PARTS for file in (ROOT / part).rglob("*.py")]
    files += [ROOT / "cli.py", ROOT / "extend.py"]
    return {".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f for f in files}


@cache
def imports(name: str) -> frozenset[str]:
    """The package's modules that a module imports: anywhere in it, for types only or in a function too."""
    file = modules()[name]
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
        for alias in node.names:
            longer = ".".join([*base, alias.name])
            found.add(longer if longer in modules() else ".".join(base))
    return frozenset(one for one in found if one in modules())


def around(name: str, reader: str) -> list[str]:
    """The packages that a module lies in and its reader does not."""
    parts = name.split(".")
    packages = [".".join(parts[:i]) for i in range(1, len(parts))]
    return [one for one in packages if one in modules() and not f"{reader}.".startswith(f"{one}.")]


def room_of(name: str) -> int:
    fits = [i for i, room in enumerate(ROOMS) if name == room or name.startswith(f"{room}.")]
    return max(fits, key=lambda i: len(ROOMS[i]))


def test_rooms_import_from_those_before_them() -> None:
    assert len(modules()) > 200
    wrong = {f"{name} -> {other}" for name in modules() for other in imports(name) if room_of(other) > room_of(name)}
    assert wrong == set()


def test_a_wrong_direction_would_be_seen() -> None:
    assert room_of("graph_rewrites.rewrite") > room_of("graph_rewrites.pipeline.plan") > room_of("graph_rewrites.maps")
    assert "graph_rewrites.maps.registry" in imports("graph_rewrites.pipeline.plan")


def test_no_module_imports_itself_in_a_circle() -> None:
    # Importing a module runs the packages that it lies in, of which some register what they hold.
    edges = {
        name: {one for other in imports(name) for one in [other, *around(other, name)]} - {name} for name in modules()
    }
    try:
        list(TopologicalSorter(edges).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_folders_and_files_are_small() -> None:
    folders: dict[Path, int] = {}
    for file in modules().values():
        if file.name != "__init__.py" and file.parent != ROOT:
            folders[file.parent] = folders.get(file.parent, 0) + 1
    assert {str(one.relative_to(ROOT)): count for one, count in folders.items() if count > FLAT} == {}
    long = {name: file.read_text().count("\n") for name, file in modules().items()}
    assert {name: lines for name, lines in long.items() if lines > LINES} == {}


def test_every_folder_says_its_duty() -> None:
    packages = [file for file in modules().values() if file.name == "__init__.py"]
    assert [str(file) for file in packages if not ast.get_docstring(ast.parse(file.read_text()))] == []


@pytest.mark.skipif(tomllib is None, reason="Python 3.10 has no tomllib to read pyproject.toml")
def test_the_wheel_lists_every_package() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    present = [name for name, file in modules().items() if file.name == "__init__.py"]
    assert sorted(listed) == sorted(["onnxplain", *(f"onnxplain.{name}" for name in present)])
