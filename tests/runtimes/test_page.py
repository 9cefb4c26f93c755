"""The page of runtimes says what the tests run."""

from __future__ import annotations

from .page import PAGE, page


def test_the_page_of_runtimes_is_up_to_date() -> None:
    """Otherwise run `python -m tests.runtimes.page`."""
    assert PAGE.read_text(encoding="utf-8") == page()
