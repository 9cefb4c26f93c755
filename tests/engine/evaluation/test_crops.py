from __future__ import annotations

import numpy as np
import pytest
from onnxplain.engine.evaluation.crops import TenCrops
from onnxplain.engine.images.preprocess import parse_preprocess
from onnxplain.graph_rewrites.errors import UsageError

SHAPE = (12, 16)  # resized to itself: the shorter side is 12
IMAGE = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_crops_are_the_corners_the_centre_and_their_mirror_images(layout: str) -> None:
    preprocess = parse_preprocess(f"raw,fit=crop,size=8x10,resize=12,layout={layout}")
    crops = TenCrops(preprocess).tensors(IMAGE)
    planes = IMAGE.astype(np.float32)
    corners = [planes[:8, :10], planes[:8, 6:], planes[4:, :10], planes[4:, 6:], planes[2:10, 3:13]]
    wanted = np.stack([*corners, *(one[:, ::-1] for one in corners)])
    np.testing.assert_array_equal(crops, wanted if layout == "NHWC" else wanted.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(crops[TenCrops.centre], preprocess.apply(IMAGE))


def test_maps_are_averaged_where_crops_overlap() -> None:
    crops = TenCrops(parse_preprocess("raw,fit=crop,size=8x10,resize=12"))
    found = crops.to_source(np.arange(10.0)[:, None, None] * np.ones((10, 8, 10)), SHAPE)
    # The top left corner is in crops 0 and 5 alone, the bottom right in 3 and 8, the middle in all.
    assert (found[0, 0], found[-1, -1], found[6, 8]) == (2.5, 5.5, 4.5)
    # The upper edge's middle columns are in the two upper corners' crops.
    assert found[0, 8] == (0 + 1 + 5 + 6) / 4
    mirrored = np.zeros((10, 8, 10))
    mirrored[5, 0, 0] = 1  # the top right pixel of the top left crop, seen in a mirror
    assert np.argwhere(crops.to_source(mirrored, SHAPE)).tolist() == [[0, 9]]


@pytest.mark.parametrize(
    "text", ["raw", "raw,size=8x8", "raw,fit=crop,size=12x12", "raw,fit=crop,size=12x12,resize=12"]
)
def test_preprocessing_without_room_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="ten crops need an image that is resized to more"):
        TenCrops(parse_preprocess(text))
