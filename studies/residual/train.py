"""Trains the residual network on scenes.

    python -m studies.residual.train exported_models/scene_resnet/scene_resnet.onnx

A class is a shape, of any colour; each scene shows one object. Takes under four minutes on one core.
"""

# PyTorch is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return, no-untyped-call, attr-defined"

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxplain import add_metadata
from onnxplain.engine.images.preprocess import parse_preprocess
from torch import nn

from ..scenes import layout, render
from .classes import CLASSES, class_of
from .network import SceneResNet

SCENES, EPOCHS, BATCH, RATE = 8000, 5, 16, 4e-3
TEST = 1000


def data(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scenes of one object, uint8 [count, 3, 96, 96], and their classes, int64 [count]."""
    rng = np.random.default_rng(seed)
    alone = (objects for objects in iter(lambda: layout(rng), None) if len(objects) == 1)
    scenes = [render(objects, rng) for objects in islice(alone, count)]
    images = torch.from_numpy(np.stack([each.image for each in scenes])).permute(0, 3, 1, 2).contiguous()
    return images, torch.tensor([CLASSES.index(class_of(each.objects[0])) for each in scenes])


def train(model: nn.Module, images: torch.Tensor, classes: torch.Tensor, epochs: int = EPOCHS) -> None:
    """Trains a network, in place, with mirrored copies, by AdamW and one cycle of the learning rate."""
    model.to(memory_format=torch.channels_last)  # a third faster on a CPU
    steps = epochs * len(images) // BATCH
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps, pct_start=0.2)
    start = time.process_time()
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(images)).split(BATCH):
            batch = images[chosen].float()
            mirrored = torch.rand(len(batch)) < 0.5
            batch[mirrored] = batch[mirrored].flip(3)
            logits = model(batch.contiguous(memory_format=torch.channels_last))
            loss = nn.functional.cross_entropy(logits, classes[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(batch)
        print(f"epoch {epoch + 1}: loss {total / len(images):.4f}, {time.process_time() - start:.0f} s", flush=True)
    model.eval()


def accuracy(model: nn.Module, images: torch.Tensor, classes: torch.Tensor) -> float:
    """The share of images whose class the network finds most probable."""
    with torch.no_grad():
        said = torch.cat([model(part.float()).argmax(1) for part in images.split(100)])
    return float((said == classes).float().mean())


def export(model: nn.Module, labels: Sequence[str], path: str | Path) -> None:
    """Writes a network of scenes, with how its input is made and what its classes are called."""
    model = model.to(memory_format=torch.contiguous_format)
    example = (torch.zeros(2, 3, 96, 96),)
    torch.onnx.export(
        model, example, path, input_names=["image"], output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},), dynamo=True, external_data=False,
    )  # fmt: skip
    written = onnx.load(path)
    for node in written.graph.node:
        del node.metadata_props[:]  # where in which file it was written, line by line
    onnx.checker.check_model(written, full_check=True)
    add_metadata(written, preprocessing=parse_preprocess("raw").to_json(), labels=list(labels))
    onnx.save(written, path)


def main() -> None:
    """Trains, tests and writes the model."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = SceneResNet(len(CLASSES))
    train(model, *data(1, SCENES))
    print(f"right in {accuracy(model, *data(2, TEST)):.1%} of {TEST} scenes that it was not trained on")
    export(model, CLASSES, sys.argv[1])


if __name__ == "__main__":
    main()
