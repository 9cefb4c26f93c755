"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes:
        name: what was compared.
        passed: whether it holds; None where it was not checked.
        detail: the figures, or why it was not checked.
        probes: by how many runs.
    """

    name: str
    passed: bool | None
    detail: str
    probes: int = 0


def not_checked(name: str, why: str) -> Finding:
    """A check that cannot be made."""
    return Finding(name, None, why)
