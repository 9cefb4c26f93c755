"""Trains the classifier and the segmenters, and writes them as ONNX.

    python -m studies.segmentation.train [FOLDER [SEED]]

The seed is that of the segmenters' first weights and of the order in which they see the scenes; others than 0 show how
much depends on it. Takes five minutes on one core.
"""

# PyTorch is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return, no-untyped-call, attr-defined"

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..residual.train import export
from .crf import mean_field
from .data import CLASSES, CLASSIFIER, MODELS, VARIANTS, Array, Flags, Scenes, Variant, scenes, seeds
from .losses import BACKGROUND_DECAY, DECAY, Loss, constraint, expansion, seeding
from .network import Classifier, Segmenter, Trunk
from .segment import at_least

BATCH, WEIGHT_DECAY = 16, 1e-3
CLASSIFIED, CLASSIFIER_EPOCHS, CLASSIFIER_RATE = 5000, 6, 6e-3
SEGMENTED, SEGMENTER_EPOCHS, SEGMENTER_RATE = 800, 3, 4e-3
TEST = 500


def trained_classifier(known: Scenes) -> Classifier:
    """A classifier trained with mirrored copies."""
    model = Classifier(len(CLASSES))
    images, shown = _tensor(known.images), torch.from_numpy(known.shown).float()

    def step(chosen: Tensor) -> float:
        batch = images[chosen].float()
        mirrored = torch.rand(len(batch)) < 0.5
        batch[mirrored] = batch[mirrored].flip(3)
        loss = nn.functional.binary_cross_entropy_with_logits(model(_last(batch)), shown[chosen])
        loss.backward()
        return float(loss.detach())

    return _trained(model, step, len(images), CLASSIFIER_EPOCHS, CLASSIFIER_RATE)


def trained_segmenter(known: Scenes, variant: Variant, cues: Flags | None, trunk: Trunk) -> Segmenter:
    """A segmenter that begins with a trunk, and learns by what the variant lets it know."""
    model = Segmenter(len(CLASSES), trunk)
    images, coarse = _tensor(known.images), known.coarse

    def step(chosen: Tensor) -> float:
        places = chosen.numpy()
        probabilities = at_least(torch.softmax(model(_last(images[chosen].float())), dim=1))
        values = probabilities.detach().numpy().astype(np.float64)
        seeded = None if cues is None else cues[places]
        losses = list(losses_of(variant, values, seeded, known.shown[places], coarse[places]))
        gradient = np.sum([loss.gradient for loss in losses], axis=0)
        probabilities.backward(torch.from_numpy(gradient).float())
        return sum(loss.value for loss in losses)

    return _trained(model, step, len(images), SEGMENTER_EPOCHS, SEGMENTER_RATE)


def losses_of(
    variant: Variant, probabilities: Array, cues: Flags | None, shown: Flags, coarse: Array
) -> Iterator[Loss]:
    """The losses by which a variant learns from a batch."""
    if cues is not None:
        yield seeding(probabilities, cues)
    if variant.expands:
        yield expansion(probabilities, shown, DECAY, BACKGROUND_DECAY)
    if variant.follows_edges:
        refined = np.stack([mean_field(*one) for one in zip(probabilities, coarse, strict=True)])
        yield constraint(probabilities, at_least(refined))


def cues_of(known: Scenes, variant: Variant, classifier: Path = CLASSIFIER) -> Flags | None:
    """What each cell is known to be, bool [n, 1 + classes, 32, 32], by the classifier's seeds or the truth."""
    if variant.cues is None:
        return None
    if variant.cues == "truth":
        return known.cells
    found = seeds(known, classifier, method=variant.cues)
    return np.stack([found == value for value in range(1 + len(CLASSES))], axis=1)


def _trained(model: Any, step: Callable[[Tensor], float], count: int, epochs: int, rate: float) -> Any:
    """The model after some epochs of `step`, which adds a batch's gradients, by AdamW and one cycle of the rate."""
    model = model.to(memory_format=torch.channels_last).train()  # a third faster on a CPU
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=WEIGHT_DECAY)
    total = epochs * -(-count // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total, pct_start=0.2)
    start = time.process_time()
    for epoch in range(epochs):
        losses = []
        for chosen in torch.randperm(count).split(BATCH):
            optimiser.zero_grad()
            losses.append(step(chosen))
            optimiser.step()
            schedule.step()
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, {time.process_time() - start:.0f} s", flush=True)
    return model.eval()


def _tensor(images: Any) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def _last(batch: Tensor) -> Tensor:
    return batch.contiguous(memory_format=torch.channels_last)


def main() -> None:
    """Trains and writes the models."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else MODELS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    classifier = trained_classifier(scenes(CLASSIFIED, 1))
    test = scenes(TEST, 2)
    with torch.no_grad():
        said = torch.cat([classifier(part.float()) > 0 for part in _tensor(test.images).split(100)]).numpy()
    print(f"all shapes right in {(said == test.shown).all(axis=1).mean():.1%} of {TEST} other scenes")
    weights = {name: value.clone() for name, value in classifier.trunk.state_dict().items()}
    export(classifier, CLASSES, folder / CLASSIFIER.name)
    known = scenes(SEGMENTED, 3)
    for name, variant in VARIANTS.items():
        print(variant.title)
        cues = cues_of(known, variant, folder / CLASSIFIER.name)
        torch.manual_seed(seed)
        trunk = Trunk()
        trunk.load_state_dict(weights)
        segmenter = trained_segmenter(known, variant, cues, trunk)
        export(segmenter, ["background", *CLASSES], folder / f"{name}.onnx")


if __name__ == "__main__":
    main()
