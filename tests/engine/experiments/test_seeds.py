"""Seeds, against maps written by hand, and of a model whose maps are the pixels of a colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnxplain.engine.datasets.annotation import AnnotatedImage, AnnotatedObject
from onnxplain.engine.datasets.mapping import ClassMapping
from onnxplain.engine.evaluation.maps import MethodMaps
from onnxplain.engine.experiments.seeds import Seeder, SeedRules, on_grid, seeds
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError

from ..evaluation.colours import PREPROCESS, network, picture

FILE = Path("scene.png")
ALL = np.ones((4, 4), np.bool_)
RISING = np.arange(16.0).reshape(4, 4)
FLAT = np.ones((4, 4))


def map_of(cells: dict[tuple[int, int], float]) -> np.ndarray:
    heat = np.zeros((4, 4))
    for place, value in cells.items():
        heat[place] = value
    return heat


def test_a_cell_is_of_the_class_above_the_share_of_the_maximum() -> None:
    heat = map_of({(0, 0): 10, (0, 1): 2.1, (0, 2): 2.0, (1, 1): -3})
    found = seeds([heat], FLAT, ALL, SeedRules())
    assert found.tolist() == [[1, 1, -1, -1], *[[-1] * 4] * 3]
    assert (seeds([np.zeros((4, 4))], FLAT, ALL, SeedRules()) == -1).all()
    assert (seeds([-FLAT], FLAT, ALL, SeedRules()) == -1).all()


def test_of_several_classes_the_one_of_fewest_cells_has_the_cell() -> None:
    large = map_of({(0, 0): 9, (0, 1): 9, (0, 2): 9, (1, 0): 9})
    small = map_of({(0, 0): 1, (3, 3): 1})
    between = map_of({(0, 0): 1, (0, 1): 1, (3, 3): 1})
    expected = [[3, 2, 1, -1], [1, -1, -1, -1], [-1] * 4, [-1, -1, -1, 3]]
    assert seeds([large, between, small], FLAT, ALL, SeedRules()).tolist() == expected


def test_background_is_where_the_smoothed_saliency_is_lowest_and_no_class_is() -> None:
    # Medians of 3 x 3, the border repeated, by hand: the hole in the third row is filled, and the rows stay.
    saliency = np.repeat([[0.0], [1.0], [2.0], [3.0]], 4, axis=1)
    saliency[2, 1] = 0
    heat = map_of({(0, 1): 1})
    assert seeds([heat], saliency, ALL, SeedRules(background=0.25)).tolist() == [[0, 1, 0, 0], *[[-1] * 4] * 3]
    # Ties with the last of the share are background too; the highest never is.
    assert (seeds([], saliency, ALL, SeedRules(background=0.1)) == 0).sum() == 4
    assert (seeds([], saliency, ALL, SeedRules(background=1))[:3] == 0).all()
    assert (seeds([], saliency, ALL, SeedRules(background=1))[3] == -1).all()
    assert (seeds([], saliency, ALL, SeedRules(background=0)) == -1).all()
    assert (seeds([], FLAT, ALL, SeedRules()) == -1).all()


def test_cells_that_the_model_did_not_see_are_no_seeds() -> None:
    seen = ALL.copy()
    seen[:, 0] = False
    saliency = np.repeat([[0.0, 1.0, 2.0, 3.0]], 4, axis=0)
    found = seeds([FLAT], np.zeros((4, 4)), seen, SeedRules())
    assert (found[:, 0] == -1).all()
    assert (found[:, 1:] == 1).all()
    # A third of those seen is the second column, though what was not seen is lower.
    assert seeds([], saliency, seen, SeedRules(background=1 / 3))[0].tolist() == [-1, 0, -1, -1]


def test_maps_are_averaged_over_cells_or_interpolated() -> None:
    assert on_grid(RISING, 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]
    np.testing.assert_allclose(on_grid(np.array([[0.0, 4.0]]), 4)[0], [0, 1, 3, 4])


def seeder(rules: SeedRules, preprocess: str = PREPROCESS, **chosen: object) -> Seeder:
    return Seeder(MethodMaps(network(), ["grad-cam", "gradient"], preprocess=preprocess), rules, **chosen)  # type: ignore[arg-type]


IMAGE = picture([("red", 0, 0, 12, 10), ("green", 18, 10, 30, 20)])


def test_predicted_classes_have_their_pixels_and_need_a_probability() -> None:
    # The score of a colour is 8 times its share of 600 pixels: 1.6 for each of two, 0 for blue.
    rules = SeedRules(grid=10, background=0.1)
    found = seeder(rules, targets=[-1, -2])(IMAGE, AnnotatedImage(FILE, ()))
    assert sorted(found.classes) == [0, 1]
    red, green = np.zeros((2, 10, 10), np.bool_)
    red[:5, :4], green[5:, 6:] = True, True
    np.testing.assert_array_equal(found.cells == 1 + found.classes.index(0), red)
    np.testing.assert_array_equal(found.cells == 1 + found.classes.index(1), green)
    np.testing.assert_array_equal(found.cells == 0, ~(red | green))
    share = np.exp(1.6) / (2 * np.exp(1.6) + 1)
    assert seeder(SeedRules(above=share - 0.01), targets=[2, 1])(IMAGE, AnnotatedImage(FILE, ())).classes == [1]
    with pytest.raises(OnnxplainError, match=r"scene.png: no class has a probability of 0.9"):
        seeder(SeedRules(above=0.9), targets=[0, 1, 2])(IMAGE, AnnotatedImage(FILE, ()))


def test_annotated_classes_are_found_by_the_mapping() -> None:
    given = {"warm": ["red", "blue"], "leaf": ["green"], "sky": []}
    mapping = ClassMapping(["red", "green", "blue"], 3, given, "classes.json")
    find = seeder(SeedRules(grid=10), mapping=mapping)
    truth = AnnotatedImage(FILE, tuple(map(AnnotatedObject, ("sky", "warm", "leaf", "warm"))))
    found = find(IMAGE, truth)
    assert found.classes == ["warm", "leaf"]
    assert (found.cells[:5, :4] == 1).all()  # red, which has the higher score of the two
    assert (found.cells == 2).sum() == 20
    with pytest.raises(OnnxplainError, match="shows no class that is asked for"):
        find(IMAGE, AnnotatedImage(FILE, (AnnotatedObject("sky"),)))
    with pytest.raises(UsageError, match=r"classes.json: lacks the class 'sea'"):
        find(IMAGE, AnnotatedImage(FILE, (AnnotatedObject("sea"),)))


def test_what_was_cut_off_is_not_labelled() -> None:
    find = seeder(SeedRules(grid=30), f"{PREPROCESS},size=20x20,fit=crop", targets=[0])
    red = picture([("red", 0, 0, 30, 10)])
    cells = find(red, AnnotatedImage(FILE, ())).cells
    assert (cells[:, :5] == -1).all()
    assert (cells[:, 25:] == -1).all()
    assert (cells[:15, 5:25] == 1).all()
    assert (cells[17:, 5:25] == 0).all()
    with pytest.raises(UsageError, match="sees the centre of no cell of 2 x 2"):
        seeder(SeedRules(grid=2), f"{PREPROCESS},size=8x8,resize=20,fit=crop", targets=[0])(
            red, AnnotatedImage(FILE, ())
        )
