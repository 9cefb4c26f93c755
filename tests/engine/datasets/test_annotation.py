from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnxplain.engine.datasets.annotation import AnnotatedImage, AnnotatedObject, bounding_box
from onnxplain.graph_rewrites.errors import OnnxplainError


def test_a_box_covers_the_pixels_that_it_touches() -> None:
    assert np.argwhere(AnnotatedObject("cat", (1, 2, 3, 4)).region((5, 6))).tolist() == [[2, 1], [2, 2], [3, 1], [3, 2]]
    assert np.argwhere(AnnotatedObject("cat", (1.9, 2.1, 2.2, 2.2)).region((5, 6))).tolist() == [[2, 1], [2, 2]]
    assert AnnotatedObject("cat", (-3, -3, 2, 1)).region((5, 6)).sum() == 2
    assert AnnotatedObject("cat", (-3, 1, 99, 2.5)).extent((5, 6)) == (0, 1, 6, 2.5)


def test_a_mask_goes_before_the_box() -> None:
    mask = np.zeros((4, 5), np.bool_)
    mask[1:3, 2] = True
    one = AnnotatedObject("cat", (0, 0, 5, 4), mask)
    assert (one.region((4, 5)) == mask).all()
    assert one.extent((4, 5)) == (0, 0, 5, 4)
    assert AnnotatedObject("cat", mask=lambda shape: mask).extent((4, 5)) == bounding_box(mask) == (2, 1, 3, 3)


def test_an_image_joins_the_objects_of_a_class_and_asks_for_what_is_not_difficult() -> None:
    objects = (
        AnnotatedObject("cat", (0, 0, 1, 1)),
        AnnotatedObject("dog", (3, 3, 4, 4), difficult=True),
        AnnotatedObject("cat", (2, 0, 3, 1), difficult=True),
        AnnotatedObject("cat"),
    )
    image = AnnotatedImage(Path("a.png"), objects)
    assert image.labels == ["cat"]
    assert np.argwhere(image.region("cat", (4, 4))).tolist() == [[0, 0], [0, 2]]
    assert not image.region("sofa", (4, 4)).any()


@pytest.mark.parametrize("box", [(1, 1, 1, 5), (3, 0, 2, 5), (0, 0, float("nan"), 1), (0, 0, float("inf"), 1)])
def test_an_empty_box_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(OnnxplainError, match="of 'cat' is empty"):
        AnnotatedObject("cat", box)


def test_what_does_not_fit_the_image_is_refused() -> None:
    with pytest.raises(OnnxplainError, match="'cat' has no pixel in the image"):
        AnnotatedObject("cat", (9, 9, 10, 10)).region((4, 4))
    with pytest.raises(OnnxplainError, match="lies outside the image"):
        AnnotatedObject("cat", (9, 9, 10, 10)).extent((4, 4))
    with pytest.raises(OnnxplainError, match="'cat' has neither box nor mask"):
        AnnotatedObject("cat").region((4, 4))
    with pytest.raises(OnnxplainError, match="2 x 3 pixels, the image 4 x 4"):
        AnnotatedObject("cat", mask=np.ones((2, 3), np.bool_)).region((4, 4))
