"""Scenes: what they say they show is what their pixels show."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from studies.scenes import COLOURS, MOST_OBJECTS, SHAPES, SIZES, Scene, SceneObject, layout, relation, render, scene

from .pixels import blobs


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng = np.random.default_rng(0)
    return [scene(rng, size=192) for _ in range(60)]


def test_pixels_show_the_objects_and_nothing_else(scenes: list[Scene]) -> None:
    for each in scenes:
        found = {(round(blob.x / 8), round(blob.y / 8)): (blob.shape, blob.colour) for blob in blobs(each.image)}
        expected = {(one.shape, one.colour) for one in each.objects}
        assert (len(found), set(found.values())) == (len(each.objects), expected)


def test_masks_are_the_pixels_of_the_colour(scenes: list[Scene]) -> None:
    for each in scenes:
        seen = blobs(each.image)
        for one, mask in zip(each.objects, each.masks, strict=True):
            blob = max(seen, key=lambda blob, mask=mask: int((blob.mask & mask).sum()))
            assert blob.colour == one.colour
            assert (blob.mask & mask).sum() > 0.9 * (blob.mask | mask).sum()  # they differ along the blended edge
            y, x = np.argwhere(mask).mean(axis=0) + 0.5
            assert (x, y) == pytest.approx((one.x * 192, one.y * 192), abs=1)
            assert np.median(each.image[mask], axis=0) == pytest.approx(COLOURS[one.colour], abs=2)


def test_masks_have_the_area_of_their_size_whatever_the_shape(scenes: list[Scene]) -> None:
    for each in scenes:
        for one, mask in zip(each.objects, each.masks, strict=True):
            smallest, largest = SIZES[one.size]
            assert smallest <= one.radius <= largest
            assert mask.sum() == pytest.approx(np.pi * (one.radius * 192) ** 2, rel=0.04)


def test_objects_lie_apart_inside_the_image(scenes: list[Scene]) -> None:
    for each in scenes:
        assert each.masks.sum(axis=0).max() == 1
        assert not each.masks[:, [0, -1]].any()
        assert not each.masks[:, :, [0, -1]].any()


def test_relations_are_those_of_the_centres_and_opposite_the_other_way(scenes: list[Scene]) -> None:
    opposite = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}
    for each in scenes:
        centres = [np.argwhere(mask).mean(axis=0) for mask in each.masks]
        for (one, here), (other, there) in combinations(zip(each.objects, centres, strict=True), 2):
            dy, dx = here - there
            assert abs(abs(dy) - abs(dx)) > 0.07 * 192
            expected = ("below" if dy > 0 else "above") if abs(dy) > abs(dx) else "right of" if dx > 0 else "left of"
            assert (relation(one, other), relation(other, one)) == (expected, opposite[expected])


def test_a_turned_object_turns_clockwise() -> None:
    cross = SceneObject("triangle", "red", "large", 0.5, 0.5, 0.12, np.pi / 2)
    (mask,) = render([cross], np.random.default_rng(0)).masks
    tip_row, tip_column = np.argwhere(mask)[np.argwhere(mask)[:, 1].argmax()]
    assert tip_row == pytest.approx(48, abs=1)
    assert tip_column == pytest.approx(48 + 96 * cross.extent, abs=2)


def test_edges_are_antialiased() -> None:
    square = SceneObject("square", "red", "large", 0.5, 0.5, 0.12, 0.1)
    sharp = render([square], np.random.default_rng(3)).image.astype(int)
    plain = render([], np.random.default_rng(3)).image.astype(int)
    red, grey = np.array(COLOURS["red"]), plain[48, 48]
    share = (sharp - plain) @ (red - grey) / ((red - grey) @ (red - grey))
    assert (share[46:50, 46:50] > 0.9).all()
    assert abs(share[:10]).max() < 0.1
    assert 40 < ((share > 0.2) & (share < 0.8)).sum() < 4 * 30


def test_every_attribute_is_uniform() -> None:
    rng = np.random.default_rng(0)
    drawn = [layout(rng) for _ in range(2000)]
    sizes = [[len(each) for each in drawn].count(number) / len(drawn) for number in range(1, MOST_OBJECTS + 1)]
    assert sizes == pytest.approx([0.25] * 4, abs=0.04)
    objects = [one for each in drawn for one in each]
    for name, choices in (("shape", SHAPES), ("colour", tuple(COLOURS)), ("size", tuple(SIZES))):
        shares = [sum(getattr(one, name) == choice for one in objects) / len(objects) for choice in choices]
        assert shares == pytest.approx([1 / len(choices)] * len(choices), abs=0.03)


def test_a_seed_gives_the_same_scene_again_and_another_seed_another() -> None:
    one, same, other = (scene(np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert one.objects == same.objects
    np.testing.assert_array_equal(one.image, same.image)
    np.testing.assert_array_equal(one.masks, same.masks)
    assert (one.image != other.image).mean() > 0.5


def test_the_mask_of_several_objects_is_their_union_and_of_none_is_none() -> None:
    each = next(each for seed in range(9) if len((each := scene(np.random.default_rng(seed))).objects) == 3)
    np.testing.assert_array_equal(each.mask(each.objects[:2]), each.masks[0] | each.masks[1])
    assert each.mask([]) is None
