"""How often what the exported captioner says is true.

    python -m studies.captioning.measure

Writes the table of the model card, from scenes that it was not trained on. Needs no PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnxplain.engine.language.decoding import GreedyDecoder
from rich.progress import track

from ..captions import caption, ground
from ..page import table, write_section
from ..scenes import Scene, scene

FOLDER = Path(__file__).parents[2] / "exported_models" / "captioner"
SCENES, SEED = 2000, 2028
HEADER = ["objects", "scenes", "true, %", "as the scene's own, %", "true of another scene, %"]


def scenes(count: int = SCENES) -> list[Scene]:
    """Scenes that the captioner was not trained on; each has its own seed."""
    return [scene(np.random.default_rng([SEED, index])) for index in range(count)]


def summary(shown: Sequence[Scene], said: Sequence[Sequence[str]]) -> list[list[str]]:
    """A line for each number of objects, and one for all: how many captions are true, in per cent.

    A captioner that does not look is as often right as a caption is true of the next scene with as many objects.
    """
    numbers = np.array([len(each.objects) for each in shown])
    found = np.zeros((len(shown), 3), np.bool_)
    for number in np.unique(numbers):
        (same,) = np.nonzero(numbers == number)
        for index, following in zip(same, np.roll(same, -1), strict=True):
            words, own = said[index], caption(shown[index]).words
            found[index] = (
                ground(words, shown[index]) is not None,
                tuple(words) == own,
                ground(words, shown[following]) is not None,
            )
    chosen = {**{str(number): numbers == number for number in np.unique(numbers)}, "all": numbers > 0}
    return [
        [name, str(rows.sum()), *(f"{share:.1f}" for share in 100 * found[rows].mean(axis=0))]
        for name, rows in chosen.items()
    ]


def main() -> None:
    """Measures, and writes the card's table."""
    decode, shown = GreedyDecoder(FOLDER / "captioner.onnx", FOLDER / "captioner_greedy.onnx"), scenes()
    said = [decode(each.image) for each in track(shown, "captions")]
    write_section("truth", table(HEADER, summary(shown, said)), FOLDER / "README.md")


if __name__ == "__main__":
    main()
