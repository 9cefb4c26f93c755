"""Targets: indices, labels and places."""

from __future__ import annotations

import pytest
from onnxplain import UsageError
from onnxplain.engine.targets import Target, resolve_targets

LABELS = ["tabby, tabby cat", "tiger cat", "tiger", "crane", "crane"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, [-1]),
        (3, [3]),
        ("3", [3]),
        ("-2", [-2]),
        ("top1", [-1]),
        ("top-3", [-1, -2, -3]),
        (["top2", 0, "tiger"], [-1, -2, 0, 2]),
        ("tiger", [2]),
        ("Tabby Cat", [0]),
        ("tabb", [0]),
    ],
)
def test_targets_are_resolved(target: Target | list[Target] | None, expected: list[int]) -> None:
    assert resolve_targets(target, LABELS, len(LABELS)) == expected


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (5, "out of range"),
        (-6, "out of range"),
        ("top6", "more classes"),
        ("top0", "no class"),
        ("crane", "fits 2 classes"),
        ("cat", "fits 2 classes"),
        ("tigger", "did you mean"),
    ],
)
def test_wrong_targets_are_refused(target: Target, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resolve_targets(target, LABELS, len(LABELS))


def test_a_label_needs_labels() -> None:
    with pytest.raises(UsageError, match="--labels"):
        resolve_targets("tiger", None, 5)
