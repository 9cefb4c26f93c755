"""Cases for `gradients/roi_align.py`: boxes inside, over the border, outside, tiny and turned inside out."""

import itertools
from typing import Any

import numpy as np

from .harness import Case

rng = np.random.default_rng(7)
BOXES = [
    [0.137, 0.233, 5.311, 4.127],
    [-3.219, 1.151, 4.337, 9.713],
    [2.243, 3.161, 2.567, 3.389],
    [5.179, 4.241, 1.373, 2.459],
    [10.191, 11.257, 20.383, 21.439],
    [1.109, 1.271, 1.397, 3.941],
]


def align(batch: int = 2, boxes: Any = BOXES, opset: int = 16 + 1, **attrs: Any) -> Case:
    """Boxes of a batch of two-channel maps."""
    x, rois = rng.normal(size=(batch, 2, 6, 7)), np.array(boxes, np.float64).reshape(-1, 4)
    indices = np.arange(len(rois)) % batch
    attrs = {"output_height": 2, "output_width": 3, "spatial_scale": 0.8, **attrs}
    return Case("RoiAlign", [x, rois, indices], attrs, opset=opset)


def max_pooled(boxes: list[list[float]], batch: int = 2, opset: int = 17, **attrs: Any) -> Case:
    """Boxes of a batch of two-channel maps, whose values all differ."""
    x = rng.permutation(np.linspace(-2, 2, batch * 84)).reshape(batch, 2, 6, 7)
    rois = np.array([[i % batch, *box] for i, box in enumerate(boxes)], np.float64)
    attrs = {"pooled_shape": [2, 3], **attrs}
    return Case("MaxRoiPool", [x, rois], attrs, wrt=[0], opset=opset)


SHIFTS = ("half_pixel", "output_half_pixel")
CASES: list[Case] = [
    *(
        align(mode=mode, sampling_ratio=ratio, coordinate_transformation_mode=shift)
        for mode, ratio, shift in itertools.product(("avg", "max"), (0, 1, 3), SHIFTS)
    ),
    align(),
    align(batch=1, sampling_ratio=2),
    align(output_height=1, output_width=1, spatial_scale=1.0),
    align(boxes=[]),
    align(boxes=[], mode="max"),
    max_pooled([[0, 0, 5, 4], [-3, 1, 4, 9], [2, 3, 2, 3], [5, 4, 1, 2], [10, 11, 20, 21]]),
    max_pooled([[1.2, 0.3, 12.7, 9.1], [4, 4, 8, 9]], batch=1, spatial_scale=0.5, pooled_shape=[3, 2]),
]
