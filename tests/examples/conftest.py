"""The C++ host, built once for all its tests."""

from __future__ import annotations

from pathlib import Path

import onnxplain
import pytest
from onnxplain.engine import embedded
from onnxplain.engine.images.files import read_image

from .cpp_program import Program, build, save, write_ppm


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return build(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def sanitised(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return build(tmp_path_factory.mktemp("sanitised"), "address,undefined")


@pytest.fixture(params=["plain", "sanitised"])
def program(request: pytest.FixtureRequest) -> Program:
    """The program twice: as users build it, and watched by the address and undefined behaviour sanitizers."""
    run: Program = request.getfixturevalue(request.param)
    return run


@pytest.fixture(scope="session")
def ppm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded photo as PPM."""
    return write_ppm(tmp_path_factory.mktemp("photo") / "chelsea.ppm", read_image(embedded.PHOTO))


@pytest.fixture(scope="session")
def explained(tmp_path_factory: pytest.TempPathFactory, efficientnet: Path) -> Path:
    """The embedded model explained."""
    return save(onnxplain.rewrite(efficientnet), tmp_path_factory.mktemp("model") / "explained.onnx")
