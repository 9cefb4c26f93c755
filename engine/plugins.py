"""Users' own rules and methods, registered by a module of theirs."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

from ..graph_rewrites.errors import OnnxplainError, UsageError

LOADED: list[str] = []  # those of this process, for others that it starts


def load_plugin(name: str) -> None:
    """Imports a Python file or module, which registers what it has by onnxplain's decorators.

    Raises:
        UsageError: there is no such file or module.
        OnnxplainError: it fails.
    """
    path = Path(name)
    try:
        if path.suffix != ".py":
            importlib.import_module(name)
            LOADED.append(name)
            return
        specification = importlib.util.spec_from_file_location(path.stem, path)
        if not path.is_file() or specification is None or specification.loader is None:
            raise UsageError(f"{name}: no such plug-in file; check the path")
        module = importlib.util.module_from_spec(specification)
        sys.modules[path.stem] = module
        specification.loader.exec_module(module)
        LOADED.append(name)
    except ModuleNotFoundError as error:
        raise UsageError(f"plug-in {name}: {error}; install it, or give a .py file") from error
    except (UsageError, OnnxplainError):
        raise
    except Exception as error:  # whatever the user's code raises
        raise OnnxplainError(f"plug-in {name} fails: {type(error).__name__}: {error}") from error
