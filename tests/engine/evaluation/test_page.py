from __future__ import annotations

import pytest
from onnxplain.engine.evaluation.metrics import METRICS
from onnxplain.engine.evaluation.page import extremes, rank_metric
from onnxplain.engine.evaluation.summary import Case
from onnxplain.graph_rewrites.errors import UsageError


def case(image: str, grade: float | None, method: str = "cam", metric: str = "energy") -> Case:
    return Case(image, "cat", method, metric, grade, grade)


CASES = [case("b", 0.5), case("a", 0.9), case("d", 0.1), case("none", None), case("c", 0.3), case("e", 0.0)]
OTHERS = [case("x", 1.0, "grad-cam"), case("y", 1.0, "cam", "pointing")]


@pytest.mark.parametrize(("shown", "best", "worst"), [(1, "a", "e"), (2, "ab", "ed"), (9, "ab", "ed")])
def test_the_best_and_the_worst_cases_are_told_apart(shown: int, best: str, worst: str) -> None:
    found = extremes([*CASES, *OTHERS], "cam", METRICS["energy"], shown)
    assert ["".join(one.image for one in part) for part in found] == [best, worst]


def test_one_case_is_the_best() -> None:
    assert extremes(CASES[:1], "cam", METRICS["energy"], 4) == (CASES[:1], [])
    assert extremes(CASES, "cam", None, 4) == ([], [])


def test_the_metric_that_ranks_is_the_first_that_can() -> None:
    some = [METRICS["rejection"], METRICS["energy"], METRICS["pointing"]]
    assert rank_metric(some, None) == METRICS["energy"]
    assert rank_metric(some, "pointing") == METRICS["pointing"]
    assert rank_metric(some[:1], None) is None
    with pytest.raises(UsageError, match="'rejection' grades no single images"):
        rank_metric(some, "rejection")
    with pytest.raises(UsageError, match="'drop' is not measured"):
        rank_metric(some, "drop")


@pytest.mark.parametrize(
    ("name", "value", "grade"),
    [
        ("localisation", {"class1": False, "box1": False, "class5": True, "box5": True}, 1),
        ("max-box", [0.2, 0.7, 0.1], 0.7),
        ("pointing", {"hit": 0.5, "difficult": True}, 0.5),
        ("deletion", 0.25, 0.75),
        ("insertion", 0.25, 0.25),
        ("road", [0.25, 0.75], 0.75),
        ("drop", [0.5, 0.25], 0.5),
        ("occlusion", -1.0, 0),
        ("randomisation", [0.5, 0.5, 0.25], 0.75),
        ("randomisation", [None, None, None], 1),
    ],
)
def test_grades_run_from_bad_to_good(name: str, value: object, grade: float) -> None:
    metric = METRICS[name]
    assert metric.grade is not None
    assert metric.grade(value) == grade
