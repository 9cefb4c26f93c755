"""The errors a user meets: one line that names the thing, the place and the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches


class OnnxplainError(Exception):
    """Something about the given files, model or machine stands in the way; the command line exits with 1."""


class UsageError(OnnxplainError):
    """The call itself asks for something that does not exist; the command line exits with 2."""


def closest(name: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown name: the closest known ones, or how many there are."""
    known = list(known)
    near = get_close_matches(name, known, n=3, cutoff=0.5) or [k for k in known if name.lower() in k.lower()][:3]
    near = near or (known if len(known) <= 8 else [])
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"none of the {len(known)} known names is close"
