"""What the peers need before they are imported: no progress bars, and something for torchvision.

grad-cam and zennit import torchvision for names that no comparison uses: transforms of photos, and the classes of its
ResNets. Where it is missing, or does not fit the installed torch, empty modules stand in for it.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

USED = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.models.resnet")


def _any_class(name: str) -> type:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})


os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is imported
try:
    import torchvision as torchvision
except (ImportError, RuntimeError):  # RuntimeError: its operators are not registered with this torch
    for module in (ModuleType(name) for name in USED):
        module.__getattr__ = _any_class  # type: ignore[method-assign]
        sys.modules[module.__name__] = module
