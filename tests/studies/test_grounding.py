from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from studies.grounding import ANSWERERS, Row, answer_rows, asked_of, by_kind, caption_rows, judged, scenes_of, summary
from studies.page import table, write_section


def square(left: int) -> np.ndarray:
    mask = np.zeros((10, 20), np.bool_)
    mask[4:8, left : left + 4] = True
    return mask


def heat(left: int, right: float) -> np.ndarray:
    """Heat 1 on the square at `left`, `right` on the one at 12."""
    return square(left).astype(float) + right * square(12)


def test_maps_are_judged_one_by_one_and_in_pairs() -> None:
    masks, kinds = [square(2), square(12), square(2)], ["colour", "colour", "shape"]
    maps = {"good": [heat(2, 0), heat(12, 0), heat(2, 0.25)], "bad": [heat(12, 0), heat(2, 0), heat(2, 0)]}
    rows = list(judged(maps, masks, kinds))
    good = [row for row in rows if row.method == "good"]
    assert good[:3] == [
        Row("good", "colour", 1, 1, pytest.approx(np.nan, nan_ok=True)),
        Row("good", "colour", 1, 1, pytest.approx(np.nan, nan_ok=True)),
        Row("good", "shape", 1, 0.8, pytest.approx(np.nan, nan_ok=True)),
    ]
    # Of the three pairs one is of one kind and about different objects.
    assert [row.follows for row in good[3:]] == [1]
    assert [(row.pointing, row.energy) for row in rows if row.method == "bad"][:3] == [(0, 0), (0, 0), (1, 1)]
    assert [row.follows for row in rows if row.method == "bad"][3:] == [0]


def test_equal_maps_follow_by_half() -> None:
    rows = list(judged({"flat": [np.ones((10, 20))] * 2}, [square(2), square(12)], ["colour"] * 2))
    assert rows[-1].follows == 0.5


def test_summaries_are_means_in_per_cent() -> None:
    nan = np.nan
    rows = [
        Row("a", "x", 1, 0.5, nan),
        Row("a", "y", 0, 0.25, nan),
        Row("a", "y", nan, nan, 1),
        Row("b", "x", 1, 1, nan),
    ]
    assert summary(rows, ("a", "b")) == [["a", "50.0", "37.5", "100.0", "2"], ["b", "100.0", "100.0", "-", "1"]]
    baselines = [Row("centre", "x", 0, 0, nan), Row("uniform", "y", 1, 1, nan)]
    assert by_kind([*rows, *baselines], ("x", "y"), "a") == [["x", "100.0", "0.0", "-"], ["y", "0.0", "-", "100.0"]]


def test_relevance_follows_the_question() -> None:
    """c-MWP follows all questions here, and puts a quarter of its energy on a twentieth of the image."""
    rows = list(answer_rows(ANSWERERS["alexnet"], asked_of(20), ("c-mwp",)))
    (_, hits, energy, follows, maps), (*_, uniform, _, _) = summary(rows, ("c-mwp", "uniform"))
    assert int(maps) > 20
    assert float(hits) > 45
    assert float(energy) > 3 * float(uniform)
    assert float(follows) > 90


def test_relevance_points_at_what_a_word_is_about() -> None:
    rows = list(caption_rows(scenes_of(12), ("c-mwp",)))
    (_, hits, energy, follows, maps), (*_, uniform, _, _) = summary(rows, ("c-mwp", "uniform"))
    assert int(maps) > 30
    assert float(hits) > 60
    assert float(energy) > 4 * float(uniform)
    assert float(follows) > 70


def test_scenes_and_questions_are_the_same_in_every_run() -> None:
    for draw in (scenes_of, asked_of):
        first, second = (list(draw(3)) for _ in range(2))
        for one, other in zip(first, second, strict=True):
            scene, again = (each[0] if isinstance(each, tuple) else each for each in (one, other))
            np.testing.assert_array_equal(scene.image, again.image)


def test_a_section_of_the_page_is_replaced_and_the_rest_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- one:begin -->\nold\n<!-- one:end -->\n\nrest\n")
    write_section("one", table(["a", "b"], [["1", "2"]]), page)
    assert page.read_text() == (
        "# Page\n\n<!-- one:begin -->\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n<!-- one:end -->\n\nrest\n"
    )
    with pytest.raises(ValueError, match="no section 'two'"):
        write_section("two", "", page)
