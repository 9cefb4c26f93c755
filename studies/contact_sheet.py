"""A sheet of twelve scenes, each under a caption and over a question.

python -m studies.contact_sheet scenes.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from .captions import caption
from .questions import questions
from .scenes import Image, scene

SCALE, LINE, COLUMNS, ROWS = 4, 22, 4, 3


def card(seed: int) -> Image:
    """One scene, upsampled, with its caption above it and a question below it, what its answer is about outlined."""
    rng = np.random.default_rng(seed)
    shown = scene(rng)
    said, asked = caption(shown), [each for each in questions(shown) if each.mask is not None]
    question = asked[int(rng.integers(len(asked)))]
    height, width = (SCALE * side for side in shown.image.shape[:2])
    picture = cv2.resize(shown.image, (width, height), interpolation=cv2.INTER_NEAREST)
    assert question.mask is not None
    mask = cv2.resize(question.mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, (255, 255, 255), 2)
    return np.vstack([_line(" ".join(said.words), width), picture, _line(f"{question.text} {question.answer}", width)])


def _line(text: str, width: int) -> Image:
    line: Image = np.full((LINE, width, 3), 255, np.uint8)
    cv2.putText(line, text, (4, LINE - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return line


def main() -> None:
    """Draws the sheet to the file named on the command line."""
    cards = [card(seed) for seed in range(COLUMNS * ROWS)]
    sheet = np.vstack([np.hstack(cards[row * COLUMNS : (row + 1) * COLUMNS]) for row in range(ROWS)])
    path = Path(sys.argv[1])
    path.write_bytes(cv2.imencode(".png", sheet[..., ::-1])[1].tobytes())


if __name__ == "__main__":
    main()
