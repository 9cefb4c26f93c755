"""The model and the photo that come with the package."""

from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "exported_models" / "efficientnet_lite0"

MODEL = _FOLDER / "efficientnet_lite0.onnx"
PHOTO = _FOLDER / "chelsea.png"
