"""Trains the biased and the balanced model.

    python -m studies.bias.train                          both of them
    python -m studies.bias.train 0.85 somewhere.onnx      one whose markers agree with the class in 85 % of the scenes

The same small network, trained alike; only the scenes differ. Both take two minutes of one core.
"""

# PyTorch is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return, no-untyped-call, attr-defined"

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from ..residual.train import accuracy, export, train
from .data import AGREEMENT, CLASSES, MODELS, NOTHING, Marked, even_scenes, training_scenes
from .network import PlainNetwork

SCENES, EPOCHS, TEST = 4800, 4, 400  # batches are of 16
LABELS = (*CLASSES, NOTHING)


def tensors(scenes: Iterable[Marked]) -> tuple[torch.Tensor, torch.Tensor]:
    """The images, uint8 [count, 3, 96, 96], and their classes, int64 [count]."""
    drawn = list(scenes)
    images = torch.from_numpy(np.stack([each.image for each in drawn])).permute(0, 3, 1, 2).contiguous()
    return images, torch.tensor([LABELS.index(each.label) for each in drawn])


def main() -> None:
    """Trains, tests and writes both models, or the one that is asked for."""
    torch.set_num_threads(1)
    both = [(agreement, MODELS[name]) for name, agreement in AGREEMENT.items()]
    for agreement, path in [(float(sys.argv[1]), Path(sys.argv[2]))] if len(sys.argv) > 1 else both:
        torch.manual_seed(0)
        model = PlainNetwork(len(LABELS))
        train(model, *tensors(islice(training_scenes(1, agreement), SCENES)), epochs=EPOCHS)
        alike = accuracy(model, *tensors(islice(training_scenes(2, agreement), TEST)))
        even = accuracy(model, *tensors(even_scenes(3, TEST)))
        print(
            f"{path.stem}: right in {alike:.1%} of {TEST} other scenes drawn as those of its training, and in"
            f" {even:.1%} of {TEST} whose markers tell nothing"
        )
        export(model, LABELS, path)


if __name__ == "__main__":
    main()
