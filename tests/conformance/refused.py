"""The node tests whose gradient is refused, by operator, with the reason: the only ones that may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Why some node tests of an operator are refused."""

    operator: str
    reason: str
    tests: Sequence[str]


REFUSED = [
    Refusal(
        "Bernoulli",
        "the output depends on the input through a comparison alone, so that its derivative is zero",
        ["test_bernoulli_seed_expanded"],
    ),
    Refusal(
        "Scan",
        "onnx's version converter drops the batch axis that Scan had in opset 8",
        ["test_scan_sum"],
    ),
]
