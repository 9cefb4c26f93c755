"""Cases for `gradients/training.py` and `gradients/classical.py`."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from .harness import Case

rng = np.random.default_rng(31)
ML, TRAINING = "ai.onnx.ml", "ai.onnx.preview.training"
X = rng.normal(size=(3, 4))


def optimiser(op: str, updates: int, kinds: int, tensors: int, **attrs: Any) -> list[Case]:
    """One case an output: the tensors, their gradients, accumulators (positive, as sums of squares are)."""
    shapes = [(2, 3), (4,)][:tensors]
    arrays = [rng.uniform(0.5, 2, size=shape) for _ in range(kinds) for shape in shapes]
    outputs = (kinds - 1) * tensors
    return [
        Case(
            op,
            [np.array(0.1), np.array(updates, np.int64), *arrays],
            {"norm_coefficient": 0.25, **attrs},
            domain=TRAINING,
            outputs=outputs,
            of=of,
            output_rank=len(shapes[of % tensors]),
            no_runtime="ONNX Runtime has no kernel",
        )
        for of in range(outputs)
    ]


def tree(op: str, attrs: dict[str, Any]) -> Case:
    return Case(op, [X], attrs, domain=ML, no_runtime="float64", note="a stump")


STUMP = {
    "n_targets": 1,
    "nodes_featureids": [0],
    "nodes_splits": helper.make_tensor("splits", TensorProto.DOUBLE, [1], [0.1]),
    "nodes_modes": helper.make_tensor("modes", TensorProto.UINT8, [1], [0]),
    "nodes_truenodeids": [0],
    "nodes_falsenodeids": [1],
    "nodes_trueleafs": [1],
    "nodes_falseleafs": [1],
    "tree_roots": [0],
    "leaf_targetids": [0, 0],
    "leaf_weights": helper.make_tensor("weights", TensorProto.DOUBLE, [2], [1.0, 2.0]),
}

CASES = [
    *(c for updates in (0, 3) for tensors in (1, 2) for c in optimiser("Adagrad", updates, 3, tensors)),
    *optimiser("Adagrad", 3, 3, 1, decay_factor=0.5, epsilon=0.1),
    *(
        c
        for updates in (0, 3)
        for mode in ("standard", "nesterov")
        for tensors in (1, 2)
        for c in optimiser("Momentum", updates, 3, tensors, alpha=0.75, beta=0.5, mode=mode)
    ),
    *(c for updates in (0, 3) for tensors in (1, 2) for c in optimiser("Adam", updates, 4, tensors)),
    *optimiser("Adam", 3, 4, 1, alpha=0.5, beta=0.75, epsilon=0.1, norm_coefficient_post=0.25),
    Case("ArrayFeatureExtractor", [X, np.array([2, 0, 2])], domain=ML),
    Case("ArrayFeatureExtractor", [rng.normal(size=(2, 3, 4)), np.array([[1, 3]])], domain=ML),
    Case("Binarizer", [X], {"threshold": 0.1}, domain=ML),
    tree("TreeEnsemble", STUMP),
]
