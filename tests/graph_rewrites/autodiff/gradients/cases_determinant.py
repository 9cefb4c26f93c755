"""Cases for `gradients/determinant.py`: single matrices and batches, singular ones too."""

import numpy as np

from .harness import Case

rng = np.random.default_rng(9)
SINGULAR = np.stack([np.arange(9.0).reshape(3, 3), np.zeros((3, 3)), np.outer([1, 2, 3], [4, 5, 6])])

CASES: list[Case] = [
    Case("Det", [rng.normal(size=(4, 4))], output_rank=0),
    Case("Det", [rng.normal(size=(2, 3, 5, 5))]),
    Case("Det", [rng.normal(size=(2, 1, 1))], opset=22),
    Case("Det", [SINGULAR], note="singular"),
]
