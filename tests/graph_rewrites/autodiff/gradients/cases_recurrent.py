"""Cases for `gradients/recurrent.py`: X, W, R, B, sequence_lens, initial_h, and for LSTM initial_c, P."""

from __future__ import annotations

from typing import Any

import numpy as np

from .harness import Case

rng = np.random.default_rng(12)
T, N, INPUT, HIDDEN = 3, 2, 2, 2
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
BATCHWISE = "ONNX Runtime 1.32 does not take layout 1"


def recurrent(
    op: str, *given: str, lengths: tuple[int, ...] = (), attrs: dict[str, Any] | None = None, **further: Any
) -> Case:
    """A case with the optional inputs `given`: any of "b", "h", "c", "p"."""
    attrs = {"hidden_size": HIDDEN, **(attrs or {})}
    directions, rows = 2 if attrs.get("direction") == "bidirectional" else 1, GATES[op] * HIDDEN
    batch_first = bool(attrs.get("layout"))
    state = (N, directions, HIDDEN) if batch_first else (directions, N, HIDDEN)
    inputs = [
        rng.normal(size=(N, T, INPUT) if batch_first else (T, N, INPUT)),
        rng.normal(size=(directions, rows, INPUT)),
        rng.normal(size=(directions, rows, HIDDEN)) / 2,
        rng.normal(size=(directions, 2 * rows)) if "b" in given else None,
        np.array(lengths, np.int32) if lengths else None,
        rng.normal(size=state) if "h" in given else None,
        rng.normal(size=state) if "c" in given else None,
        rng.normal(size=(directions, 3 * HIDDEN)) if "p" in given else None,
    ]
    while inputs[-1] is None:
        inputs.pop()
    note = ",".join([*given, *map(str, lengths), *(f"{k}={v}" for k, v in attrs.items() if k != "hidden_size")])
    outputs = 3 if op == "LSTM" else 2
    refused = BATCHWISE if batch_first else ""
    # Gradients of the first states are small: differences resolve them less well.
    return Case(op, inputs, attrs, outputs, note=note, no_runtime=refused, tolerance=1e-6, **further)


def activated(op: str, *names: str, **attrs: Any) -> Case:
    """A case with activations."""
    return recurrent(op, "b", attrs={"activations": list(names), **attrs})


EACH = ["Relu", "Tanh", "Sigmoid", "Softsign", "Softplus", "LeakyRelu", "HardSigmoid", "Elu"]
PEEPHOLES = ("b", "h", "c", "p")
BOTH = {"direction": "bidirectional"}

CASES = [
    *[recurrent(op) for op in GATES],
    *[recurrent(op, "b", "h", of=of) for op in GATES for of in (0, 1)],
    *[recurrent(op, "b", "h", attrs={"direction": "reverse"}, of=1) for op in GATES],
    *[recurrent(op, "b", "h", attrs=BOTH, of=of) for op, of in [("RNN", 0), ("GRU", 1), ("LSTM", 0)]],
    *[recurrent(op, "b", lengths=(3, 1)) for op in GATES],
    *[recurrent(op, "h", lengths=(1, 3), attrs={"direction": "reverse"}, of=of) for op in GATES for of in (0, 1)],
    *[recurrent(op, "b", lengths=(2, 3), attrs=BOTH, of=of) for op, of in [("RNN", 1), ("GRU", 0), ("LSTM", 1)]],
    *[recurrent(op, "h", attrs={"layout": 1, **BOTH}, of=of) for op in GATES for of in (0, 1)],
    *[recurrent(op, "b", attrs={"clip": 0.5}) for op in GATES],
    *[recurrent("GRU", "b", "h", attrs={"linear_before_reset": 1, **more}) for more in ({}, BOTH)],
    *[recurrent("LSTM", *PEEPHOLES, of=of) for of in (0, 1, 2)],
    *[recurrent("LSTM", *PEEPHOLES, lengths=(2, 1), attrs=BOTH, of=of) for of in (0, 2)],
    recurrent("LSTM", "b", "c", "p", attrs={"input_forget": 1}),
    recurrent("LSTM", "b", "c", "p", attrs={"clip": 0.7}, of=1),
    recurrent("LSTM", attrs={"layout": 1}, lengths=(1, 3), of=2),
    *[activated("RNN", name) for name in EACH],
    activated("RNN", "Affine", activation_alpha=[0.7], activation_beta=[0.2]),
    activated("RNN", "ScaledTanh", activation_alpha=[1.7], activation_beta=[0.6]),
    activated("RNN", "LeakyRelu", activation_alpha=[0.3]),
    activated("RNN", "Elu", activation_alpha=[0.3]),
    activated("RNN", "ThresholdedRelu", activation_alpha=[0.3]),
    activated("RNN", "HardSigmoid", activation_alpha=[0.3], activation_beta=[0.6]),
    activated("GRU", "HardSigmoid", "Softsign", activation_alpha=[0.25], activation_beta=[0.4]),
    activated(
        "LSTM", "HardSigmoid", "ScaledTanh", "Elu", activation_alpha=[0.25, 1.3, 0.6], activation_beta=[0.4, 0.8]
    ),
    activated("LSTM", "Sigmoid", "Affine", "LeakyRelu", activation_alpha=[0.8, 0.1], activation_beta=[0.1]),
    activated(
        "GRU", "Sigmoid", "Elu", "HardSigmoid", "Tanh", activation_alpha=[0.5, 0.3], activation_beta=[0.4], **BOTH
    ),
]
