"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One check: what was compared, whether it holds, and the figures."""

    name: str
    passed: bool
    detail: str
