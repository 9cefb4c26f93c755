"""Trains the captioner and exports it.

    python -m studies.captioning.train

First the CNN learns to count the objects of each kind in scenes, as that of Neuraltalk2 had learnt to classify. Its
features of all scenes are then computed once, and the rest learns to speak of them. Nothing is told about places but
what captions say. The same machine and the same versions give the same weights again.
"""

# PyTorch is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return"

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..captions import caption
from ..scenes import COLOURS, SHAPES, SIZES, scene
from .export import PREPROCESS, export
from .network import CHANNELS, VOCABULARY, Captioner

SEED = 0
SCENES = 48_000
KINDS = [(shape, colour, size) for shape in SHAPES for colour in COLOURS for size in SIZES]
WARM_UP = 0.1  # share of the steps in which the rate rises; then it falls along a cosine
LONGEST_STEP = 1.0  # the gradient's norm is cut to this
# Keeps the captioner from being so sure that the gradients of log-probabilities, which fade towards 0, are noise.
LABEL_SMOOTHING = 0.1
CHUNK = 200  # images whose features are computed at once


class Schedule(NamedTuple):
    """How many batches of how many rows, and the highest rate."""

    steps: int
    batch: int
    rate: float
    weight_decay: float


COUNTING = Schedule(2500, 32, 3e-3, 1e-4)
SPEAKING = Schedule(3000, 256, 4e-3, 1e-3)


class Data(NamedTuple):
    """Scenes to learn from.

    Attributes:
        images: uint8 [M, 3, H, W].
        counts: how many objects of each of KINDS there are, float32 [M, kinds].
        tokens: ids of the caption between begin and end, filled up with 0, int64 [M, T].
    """

    images: Tensor
    counts: Tensor
    tokens: Tensor


def data() -> Data:
    """The scenes that the captioner learns from; each has its own seed."""
    images, counts, tokens = [], [], []
    for index in range(SCENES):
        shown = scene(np.random.default_rng([SEED, index]))
        kinds = [(each.shape, each.colour, each.size) for each in shown.objects]
        images.append(shown.image.transpose(2, 0, 1))
        counts.append([kinds.count(kind) for kind in KINDS])
        tokens.append(torch.tensor(token_ids(caption(shown).words)))
    return Data(
        torch.from_numpy(np.stack(images)),
        torch.tensor(counts, dtype=torch.float32),
        nn.utils.rnn.pad_sequence(tokens, batch_first=True),
    )


def token_ids(words: Iterable[str]) -> list[int]:
    """A caption's ids between the begin and the end token."""
    begin, end = (VOCABULARY.ids[str(token)] for token in (VOCABULARY.begin, VOCABULARY.end))
    return [begin, *(VOCABULARY.ids[word] for word in words), end]


def count_objects(model: Captioner, images: Tensor, counts: Tensor) -> None:
    """Trains the CNN, in place, to count: of each kind, the sum over the grid of a rate at each place."""
    rates = nn.Sequential(nn.Conv2d(CHANNELS, len(KINDS), 1), nn.Softplus())
    nn.init.constant_(rates[0].bias, -4.0)  # nothing is there, in most places
    weights = [*model.cnn.parameters(), *rates.parameters()]
    for rows, step in batches(weights, len(images), COUNTING, "counts"):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = model.cnn(prepared(images[rows]))
        expected = rates(features.float()).sum(dim=(2, 3))
        step(functional.poisson_nll_loss(expected, counts[rows], log_input=False))


def speak(model: Captioner, images: Tensor, tokens: Tensor) -> None:
    """Trains everything behind the CNN, in place, on what the CNN sees."""
    model.eval()
    with torch.no_grad():
        seen = torch.cat(
            [model.pool(model.cnn(prepared(images[at : at + CHUNK]))) for at in range(0, len(images), CHUNK)]
        )
    model.train()
    weights = [weight for name, weight in model.named_parameters() if not name.startswith("cnn.")]
    for rows, step in batches(weights, len(images), SPEAKING, "speaks"):
        logits = model.speak(model.understand(seen[rows]), tokens[rows, :-1])
        following = tokens[rows, 1:].flatten()
        step(functional.cross_entropy(logits.flatten(0, 1), following, ignore_index=0, label_smoothing=LABEL_SMOOTHING))


def batches(weights: list[Tensor], count: int, schedule: Schedule, what: str) -> Iterator[tuple[Tensor, Step]]:
    """Rows, each once before any comes again, and what takes the step down the loss that was computed of them."""
    rng = np.random.default_rng(SEED)
    steps, batch = schedule.steps, schedule.batch
    order = np.concatenate([rng.permutation(count) for _ in range(-(-steps * batch // count))])
    step = Step(weights, schedule)
    began = time.process_time()
    for index in range(steps):
        yield torch.from_numpy(order[index * batch : (index + 1) * batch]), step
        if index % 250 == 249:
            took = time.process_time() - began
            print(f"{what}: {index + 1} of {steps} steps, loss {step.mean():.4f}, {took:.0f} s", flush=True)


class Step:
    """Takes one step down the gradient of a loss."""

    def __init__(self, weights: list[Tensor], schedule: Schedule) -> None:
        self._weights, self._losses = weights, list[float]()
        self._optimiser = torch.optim.AdamW(weights, schedule.rate, weight_decay=schedule.weight_decay)
        self._rate = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, schedule.rate, total_steps=schedule.steps, pct_start=WARM_UP
        )

    def __call__(self, loss: Tensor) -> None:
        """Takes the next step."""
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._weights, LONGEST_STEP)
        self._optimiser.step()
        self._rate.step()
        self._losses.append(loss.item())

    def mean(self) -> float:
        """The mean loss since this was last asked."""
        result = float(np.mean(self._losses))
        self._losses.clear()
        return result


def prepared(images: Tensor) -> Tensor:
    """uint8 images as the network takes them."""
    return (images.float() * PREPROCESS.scale - PREPROCESS.mean[0]).contiguous(memory_format=torch.channels_last)


def main() -> None:
    """Trains and exports."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    began = time.process_time()
    learnt = data()
    print(f"{SCENES} scenes, {time.process_time() - began:.0f} s", flush=True)
    model = Captioner().to(memory_format=torch.channels_last)
    count_objects(model, learnt.images, learnt.counts)
    speak(model, learnt.images, learnt.tokens)
    export(model.to(memory_format=torch.contiguous_format))
    print(f"done, {time.process_time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
