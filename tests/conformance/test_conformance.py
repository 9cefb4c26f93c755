"""The gradients of onnx's own node tests: none fails, and only the listed ones are refused."""

from __future__ import annotations

import pytest

from .page import PAGE, VERSIONS, page
from .refused import REFUSED
from .runner import details, verdicts
from .verdict import FAIL, NOT_DIFFERENTIABLE, Verdict
from .verdict import REFUSED as IS_REFUSED

LISTED = {name for refusal in REFUSED for name in refusal.tests}


@pytest.fixture(scope="module")
def found() -> list[Verdict]:
    return verdicts()


def test_most_node_tests_are_differentiable(found: list[Verdict]) -> None:
    assert sum(v.status != NOT_DIFFERENTIABLE for v in found) > 1250


def test_no_gradient_is_wrong(found: list[Verdict]) -> None:
    assert not [v for v in found if v.status == FAIL], details(found)


def test_only_what_is_listed_is_refused(found: list[Verdict]) -> None:
    refused = [v for v in found if v.status == IS_REFUSED]
    assert not [v for v in refused if v.name not in LISTED], details(refused)


def test_what_is_listed_is_still_refused(found: list[Verdict]) -> None:
    refused = {v.name for v in found if v.status == IS_REFUSED}
    assert refused >= LISTED, f"these work now, take them off the list: {sorted(LISTED - refused)}"


def test_less_than_two_percent_are_refused(found: list[Verdict]) -> None:
    assert len(LISTED) < 0.02 * sum(v.status != NOT_DIFFERENTIABLE for v in found)


def test_the_support_table_is_up_to_date(found: list[Verdict]) -> None:
    written = PAGE.read_text()
    if VERSIONS not in written:
        pytest.skip(f"docs/operators.md was not written {VERSIONS}")
    assert written == page(found), "write it anew with `python -m tests.conformance.page`"
