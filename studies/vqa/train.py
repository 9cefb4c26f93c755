"""Trains the answerers and exports them.

    python -m studies.vqa.train alexnet vgg16 vgg19

Each CNN is first trained to classify, as those of the original were: it counts the objects of each kind in scenes. Then
two answerers begin with it, one for the scenes and one for easy-VQA, and all of their weights are trained. The same
machine and the same versions give the same weights again.
"""

# PyTorch is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return"

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy

import numpy as np
import torch
from onnxplain.engine.language.vocabulary import Vocabulary
from torch import Tensor, nn
from torch.nn import functional

from .data import DataSet, chosen_cnns, easy_vqa, scenes, vocabulary_of, weights
from .export import MODELS, export
from .network import NETWORKS, Answerer

SEED = 0
BATCH = 32
COUNTING_STEPS, COUNTING_RATE = 2000, 3e-3
RATE, CNN_RATE = 2e-3, 6e-4  # the CNN has learnt already
STEPS = {"scenes": 1500, "easy_vqa": 1000}
QUESTIONS = {"scenes": 16, "easy_vqa": 8}  # asked about each image of a batch: of about 40, and of about 10
WARM_UP = 0.05  # share of the steps in which the rates rise; then they fall along a cosine
LONGEST_STEP = 5.0  # the gradient's norm is cut to this


def count_objects(cnn: nn.Sequential, images: Tensor, counts: Tensor) -> None:
    """Trains a CNN, up to its last pooling, to count: of each kind, the sum over the grid of a rate at each place.

    Args:
        cnn: what is trained, in place.
        images: uint8 [M, 3, H, W].
        counts: float [M, kinds].
    """
    rates = nn.Sequential(nn.Conv2d(cnn[-2].conv.out_channels, counts.shape[1], 1), nn.Softplus())
    nn.init.constant_(rates[0].bias, -4.0)  # nothing is there, in most places
    step = Stepper([{"params": [*cnn.parameters(), *rates.parameters()], "lr": COUNTING_RATE}], COUNTING_STEPS)
    for rows in batches(len(images), COUNTING_STEPS):
        expected = rates(seen(cnn[:-1], images[rows])).sum(dim=(2, 3))
        step(functional.poisson_nll_loss(expected, counts[rows], log_input=False))


def train(model: Answerer, images: Tensor, data: DataSet, vocabulary: Vocabulary, steps: int, asked: int) -> None:
    """Trains an answerer, in place.

    Args:
        model: what is trained.
        images: uint8 [M, 3, H, W], those of the training split.
        data: its questions and answers.
        vocabulary: its words.
        steps: how many batches.
        asked: questions about each image of a batch, drawn by `weights`.
    """
    model.train()
    rng = np.random.default_rng(SEED)
    texts = token_ids(data.texts, vocabulary)
    classes = [
        np.array([(data.texts.index(one.text), data.answers.index(one.answer)) for one in each])
        for each in data.train.questions
    ]
    shares = [weights(each) for each in data.train.questions]
    fresh = [weight for name, weight in model.named_parameters() if not name.startswith("cnn.")]
    step = Stepper([{"params": fresh, "lr": RATE}, {"params": [*model.cnn.parameters()], "lr": CNN_RATE}], steps)
    for rows in batches(len(images), steps):
        drawn = [classes[row][rng.choice(len(classes[row]), asked, p=shares[row])] for row in rows]
        text, answer = torch.from_numpy(np.concatenate(drawn)).T
        looked = model.image(seen(model.cnn, images[rows])).repeat_interleave(asked, dim=0)
        step(functional.cross_entropy(model.answer(looked * model.read(texts)[text]), answer))


class Stepper:
    """Takes one step down the gradient of a loss, `steps` times."""

    def __init__(self, groups: Sequence[dict[str, object]], steps: int) -> None:
        self._optimiser = torch.optim.AdamW(groups, weight_decay=1e-4)
        rates = [group["lr"] for group in groups]
        self._rates = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, rates, total_steps=steps, pct_start=WARM_UP, cycle_momentum=False
        )

    def __call__(self, loss: Tensor) -> None:
        """Takes the next step."""
        self._optimiser.zero_grad()
        loss.backward()
        for group in self._optimiser.param_groups:
            nn.utils.clip_grad_norm_(group["params"], LONGEST_STEP)
        self._optimiser.step()
        self._rates.step()


def batches(count: int, steps: int) -> Iterator[np.ndarray]:
    """So many batches of rows; each row comes once before any comes again."""
    rng = np.random.default_rng(SEED)
    epochs = -(-steps * BATCH // count)
    order = np.concatenate([rng.permutation(count) for _ in range(epochs)])
    return (order[start : start + BATCH] for start in range(0, steps * BATCH, BATCH))


def seen(cnn: nn.Sequential, images: Tensor) -> Tensor:
    """Features [N, C, h, w] of uint8 images [N, 3, H, W]; in bfloat16 inside, which takes two thirds of the time."""
    scaled = (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = cnn(scaled)
    return features.float()


def token_ids(texts: Sequence[str], vocabulary: Vocabulary) -> Tensor:
    """Word ids, int64 [N, L], filled up with 0."""
    return nn.utils.rnn.pad_sequence([torch.tensor(vocabulary.encode(text)) for text in texts], batch_first=True)


def channels_first(images: np.ndarray) -> Tensor:
    """Images [M, H, W, 3] as [M, 3, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def main() -> None:
    """Trains and exports both answerers of each CNN that is named."""
    names = chosen_cnns(sys.argv[1:])
    torch.set_num_threads(1)
    scene_data, counts = scenes()
    sets = {"scenes": scene_data, "easy_vqa": easy_vqa()}
    images = {name: channels_first(data.train.images) for name, data in sets.items()}
    for name in names:
        torch.manual_seed(SEED)
        began = time.process_time()
        cnn = NETWORKS[name]().to(memory_format=torch.channels_last)
        count_objects(cnn, images["scenes"], torch.from_numpy(counts))
        print(f"{name}: counts objects, {time.process_time() - began:.0f} s", flush=True)
        for subject, data in sets.items():
            began = time.process_time()
            vocabulary = vocabulary_of(data.texts)
            size = images[subject].shape[-1]
            model = Answerer(deepcopy(cnn), size, len(vocabulary.vocabulary), len(data.answers))
            train(model, images[subject], data, vocabulary, STEPS[subject], QUESTIONS[subject])
            path = MODELS / f"vqa_{name}" / f"{subject}.onnx"
            export(model, size, vocabulary, data.answers, path)
            print(f"{name}: {subject}, {time.process_time() - began:.0f} s, {path.stat().st_size} bytes", flush=True)


if __name__ == "__main__":
    main()
