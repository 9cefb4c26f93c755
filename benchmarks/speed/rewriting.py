"""How long rewriting takes, of the deepest network and of the one with most weights; prints JSON."""

from __future__ import annotations

import json
import time

import onnxplain

from studies.residual.deep import resnet200

from .architectures import vgg16

MODELS = {"residual network of 200 layers": resnet200, "VGG-16": vgg16}
CASES = {"Grad-CAM": "grad-cam", "gradient": "gradient"}


def main() -> None:
    """Measures and prints the seconds, by model and case."""
    found: dict[str, dict[str, float]] = {}
    for name, make in MODELS.items():
        model = make()
        for case, method in CASES.items():
            begin = time.perf_counter()
            onnxplain.rewrite(model, method=method)
            found.setdefault(name, {})[case] = time.perf_counter() - begin
    print(json.dumps(found))


if __name__ == "__main__":
    main()
