"""Cases for the losses, which the specification defines by function bodies."""

import numpy as np

from .harness import Case

rng = np.random.default_rng(26)
SCORES, IMAGE = rng.normal(size=(4, 5)), rng.normal(size=(2, 5, 2, 3))
LABELS, MAP = np.array([1, 0, 4, 1]), rng.integers(0, 5, size=(2, 2, 3))
WEIGHTS = rng.uniform(0.5, 2, size=5)
LOSSES = ["SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"]

CASES = [
    *[
        Case(loss, [x, labels, *weights], {"reduction": reduction, **ignored})
        for loss in LOSSES
        for x, labels in ((SCORES, LABELS), (IMAGE, MAP))
        for weights in ([], [WEIGHTS])
        for ignored in ({}, {"ignore_index": 1})
        for reduction in ("none", "mean", "sum")
    ],
    *[Case(loss, [SCORES, np.array([1, -1, 4, -1]), WEIGHTS], {"ignore_index": -1}) for loss in LOSSES],
    *[Case(loss, [SCORES, LABELS.astype(np.int32)], note="int32 labels, default attributes") for loss in LOSSES],
    Case("NegativeLogLikelihoodLoss", [SCORES, LABELS], opset=22),
    *[
        Case("SoftmaxCrossEntropyLoss", [x, labels], attrs, outputs=2, of=of)
        for x, labels in ((SCORES, LABELS), (IMAGE, MAP))
        for attrs in ({}, {"reduction": "none", "ignore_index": 1})
        for of in (0, 1)
    ],
]
