"""Segmentation learnt from image labels: losses and CRF by hand, and what the committed models show."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnxplain.engine.runtime.session import Session
from onnxplain.graph_rewrites.model.metadata import read_metadata

from studies.segmentation.__main__ import METHODS, seed_line
from studies.segmentation.crf import mean_field
from studies.segmentation.data import CLASSES, CLASSIFIER, GRID, MODELS, VARIANTS, Scenes, iou, scenes, seeds
from studies.segmentation.losses import Loss, constraint, expansion, rank_weights, seeding
from studies.segmentation.picture import PAPER, TILE, coloured, sheet
from studies.segmentation.segment import at_least, labels, probabilities, refined

RNG = np.random.default_rng(0)
GIVEN = RNG.dirichlet([2, 1, 1], size=(2, 3, 4)).transpose(0, 3, 1, 2)  # [2, 3, 3, 4]
CUES = np.zeros(GIVEN.shape, np.bool_)
CUES[0, 0, 0, 0] = CUES[0, 1, 2, 3] = CUES[0, 1, 2, 2] = CUES[1, 2, 1, 1] = True
SHOWN = np.array([[True, False], [True, True]])
REFINED = RNG.dirichlet([1, 1, 1], size=(2, 3, 4)).transpose(0, 3, 1, 2)

LOSSES: dict[str, Callable[[np.ndarray], Loss]] = {
    "seeding": lambda p: seeding(p, CUES),
    "expansion": lambda p: expansion(p, SHOWN, 0.8, 0.9),
    "constraint": lambda p: constraint(p, REFINED),
}


def test_seeds_are_learnt_by_the_mean_over_the_seeds_of_each_image() -> None:
    p = GIVEN
    first = -(math.log(p[0, 0, 0, 0]) + math.log(p[0, 1, 2, 3]) + math.log(p[0, 1, 2, 2])) / 3
    second = -math.log(p[1, 2, 1, 1])
    assert seeding(p, CUES).value == pytest.approx((first + second) / 2)
    assert seeding(p, np.zeros_like(CUES)).value == 0


def test_rank_weights_fall_from_the_highest_score() -> None:
    scores = np.array([[0.1, 0.4], [0.3, 0.2]])
    np.testing.assert_allclose(rank_weights(scores, 0.5), np.array([[1 / 8, 1], [1 / 2, 1 / 4]]) / (15 / 8))
    np.testing.assert_array_equal(rank_weights(scores, 0.0), [[0, 1], [0, 0]])
    np.testing.assert_array_equal(rank_weights(scores, 1.0), np.full((2, 2), 1 / 4))
    tied = rank_weights(np.ones((2, 2)), 0.0)
    assert sorted(tied.ravel()) == [0, 0, 0, 1]


def test_classes_shown_and_the_background_expand_and_others_vanish() -> None:
    """Equation 5 written out, image by image."""

    def pooled(scores: np.ndarray, decay: float) -> float:
        ordered = sorted(scores.ravel(), reverse=True)
        weights = [decay**rank for rank in range(len(ordered))]
        return float(np.dot(ordered, weights) / sum(weights))

    p = GIVEN
    first = -math.log(pooled(p[0, 1], 0.8)) - math.log(1 - p[0, 2].max()) - math.log(pooled(p[0, 0], 0.9))
    second = -(math.log(pooled(p[1, 1], 0.8)) + math.log(pooled(p[1, 2], 0.8))) / 2 - math.log(pooled(p[1, 0], 0.9))
    assert expansion(p, SHOWN, 0.8, 0.9).value == pytest.approx((first + second) / 2)


def test_the_constraint_is_the_mean_divergence_over_cells() -> None:
    cells = [
        sum(REFINED[n, c, y, x] * math.log(REFINED[n, c, y, x] / GIVEN[n, c, y, x]) for c in range(3))
        for n in range(2)
        for y in range(3)
        for x in range(4)
    ]
    assert constraint(GIVEN, REFINED).value == pytest.approx(np.mean(cells))
    assert constraint(REFINED, REFINED).value == 0


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_differences(name: str) -> None:
    loss, step = LOSSES[name], 1e-6
    gradient = loss(GIVEN).gradient
    expected = np.zeros_like(GIVEN)
    for place in np.ndindex(GIVEN.shape):
        moved = np.zeros_like(GIVEN)
        moved[place] = step
        expected[place] = (loss(GIVEN + moved).value - loss(GIVEN - moved).value) / (2 * step)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)
    assert np.abs(gradient).max() > 0.01


def test_the_crf_is_that_of_the_paper() -> None:
    """Each cell hears each other, by loops."""
    p = RNG.dirichlet([1, 1], size=(4, 5)).transpose(2, 0, 1)
    image = RNG.uniform(0, 60, (4, 5, 3))
    cells = list(np.ndindex(4, 5))
    kernel = np.array(
        [
            [
                math.exp(-((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) / (2 * 2**2))
                * math.exp(-sum((image[a] - image[b]) ** 2) / (2 * 20**2))
                for b in cells
            ]
            for a in cells
        ]
    )
    sums = kernel.sum(axis=1)
    belief = p.copy()
    for _ in range(3):
        heard = np.zeros_like(p)
        for i, a in enumerate(cells):
            for j, b in enumerate(cells):
                heard[:, a[0], a[1]] += 1.5 * kernel[i, j] / math.sqrt(sums[i] * sums[j]) * belief[:, b[0], b[1]]
        belief = p * np.exp(heard)
        belief /= belief.sum(axis=0)
    found = mean_field(p, image, weight=1.5, near=2, alike=20, iterations=3)
    np.testing.assert_allclose(found, belief, atol=2e-6)
    assert np.abs(found - p).max() > 0.1


def test_the_crf_follows_the_edges_of_the_image() -> None:
    image = np.full((12, 12, 3), 90.0)
    image[4:8, 4:8] = (200, 40, 40)
    object_ = np.zeros((12, 12), np.bool_)
    object_[4:8, 4:8] = True
    wide = np.full((12, 12), 0.2)
    wide[3:9, 3:9] = 0.6
    found = mean_field(np.stack([1 - wide, wide]), image, near=4)
    np.testing.assert_array_equal(found.argmax(axis=0) == 1, object_)


def test_intersection_over_union_counts_all_pixels_of_a_class() -> None:
    truth = np.array([[[0, 0, 1, 1]], [[2, 3, 4, 0]]])
    said = np.array([[[0, 1, 1, 0]], [[2, 3, 3, 0]]])
    np.testing.assert_allclose(iou(said, truth), [2 / 4, 1 / 3, 1, 1 / 2, 0])


def test_seeds_are_judged_where_there_are_some() -> None:
    truth = np.zeros((1, 96, 96), np.int64)
    truth[0, :48, :48] = 2
    known = Scenes(np.zeros((1, 96, 96, 3), np.uint8), np.array([[False, True, False, False]]), truth)
    assert known.cells[0, 2].sum() == 16 * 16
    found = np.full((1, GRID, GRID), -1)
    found[0, :8, :16], found[0, :4, 16:20], found[0, 16:, 16:], found[0, 15, :16] = 2, 1, 0, 0
    with np.errstate(invalid="ignore"):  # of classes that are nowhere
        line = seed_line(found, known)
    assert line[:3] == pytest.approx([128 / 144, 256 / 272, 128 / 256])


def test_enlarged_probabilities_give_the_labels() -> None:
    given = at_least(np.zeros((1, 5, GRID, GRID)))
    given[0, 3, :, :16] = 1
    given[0, 0, :, 16:] = 1
    expected = np.repeat([[3] * 48 + [0] * 48], 96, axis=0)
    np.testing.assert_array_equal(labels(given)[0], expected)
    np.testing.assert_allclose(at_least(GIVEN).sum(axis=1), 1)


def test_pictures_show_classes_background_and_the_photo_where_nothing_is_known() -> None:
    photo = np.full((96, 96, 3), 100, np.uint8)
    drawn = coloured(np.array([[0, 1], [-1, 2]]), photo)
    assert drawn.shape == (TILE, TILE, 3)
    corners = [tuple(drawn[y, x]) for y in (0, -1) for x in (0, -1)]
    assert corners[0] == PAPER
    assert corners[2] == (193, 193, 193)
    assert len(set(corners)) == 4
    both = sheet([photo, photo], {"one\nof two": [np.zeros((2, 2))] * 2, "two": [np.ones((2, 2))] * 2})
    assert both.shape[0] > 2 * TILE
    assert both.shape[1] > 3 * TILE


@pytest.fixture(scope="module")
def fresh() -> Scenes:
    return scenes(30, 77)


def test_the_files_say_what_they_are(fresh: Scenes) -> None:
    files = {path.stem for path in MODELS.glob("*.onnx")}
    assert files == {"classifier", *VARIANTS}
    card = (MODELS / "README.md").read_text()
    for path in MODELS.glob("*.onnx"):
        model = onnx.load(path)
        assert f"`{path.name}`" in card
        assert not [node.name for node in model.graph.node if node.metadata_props or node.doc_string]
        record = read_metadata(model) or {}
        assert record["labels"] == [*CLASSES] if path == CLASSIFIER else ["background", *CLASSES]
        assert path.stat().st_size < 300_000


def test_the_classifier_names_the_shapes_of_fresh_scenes(fresh: Scenes) -> None:
    session = Session(onnx.load(CLASSIFIER))
    (logits,) = session.run(None, {"image": fresh.images.transpose(0, 3, 1, 2).astype(np.float32)})
    assert ((logits > 0) == fresh.shown).mean() > 0.98


def test_guided_seeds_are_precise_and_those_of_grad_cam_wide(fresh: Scenes) -> None:
    lines = {name: seed_line(seeds(fresh, method=method), fresh) for name, method in METHODS.items()}
    right, background, found, *_ = lines["Grad-CAM"]
    assert right < 0.4
    assert found > 0.8
    assert background > 0.99
    right, background, found, *_ = lines["Guided Grad-CAM"]
    assert right > 0.75
    assert 0.4 < found < 0.75


def test_of_this_classifier_cam_gives_the_same_seeds_as_grad_cam(fresh: Scenes) -> None:
    """Its last layers are an average and a linear layer, for which both maps are one but for a factor."""
    few = Scenes(*(part[:5] for part in fresh))
    assert (seeds(few, method="cam") != seeds(few)).mean() < 0.002  # where rounding decides


def test_image_labels_with_seeds_come_near_to_full_supervision(fresh: Scenes) -> None:
    mean = {}
    for name in VARIANTS:
        raw = probabilities(MODELS / f"{name}.onnx", fresh.images)
        mean[name] = [iou(labels(one), fresh.truth).mean() for one in (raw, refined(raw, fresh))]
    assert mean["full"][0] > 0.8
    assert mean["no_expansion"][0] > 0.75
    assert mean["no_expansion"][0] > mean["guided_grad_cam"][0] > mean["grad_cam"][0]
    assert all(mean[name][1] > 0.8 > mean["no_seeds"][1] for name in VARIANTS if name != "no_seeds")
