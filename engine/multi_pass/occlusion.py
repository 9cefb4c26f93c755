"""Occlusion: how much the score drops when a patch of the input is covered."""

from __future__ import annotations

from itertools import product

import numpy as np

from ...graph_rewrites.errors import UsageError
from ..images.resample import normalised, upsampled
from ..runtime.runner import Arrays
from .fill import Fill, filled
from .models import scores_alone
from .registry import Sample, multi_pass_method

# Patch sizes of the occlusion maps that Grad-CAM is compared with (Selvaraju et al. 2017, supplement).
PAPER_SIZES = (10, 15, 25, 35, 45, 90)


@multi_pass_method("occlusion", scores_alone)
def occlusion(sample: Sample, *, size: int = 0, stride: int = 0, fill: Fill = "mean") -> Arrays:
    """y^c(x) - y^c(x with a patch covered), per place of the patch (Zeiler and Fergus 2014, section 4.2).

    Positive where covering lowers the score, negative where it raises it. Patches of `size` pixels a side are centred
    on every `stride`-th pixel and reach over the border, as if the image were padded with what covers it: so with a
    stride of 1 the map has the input's size, and else it is upsampled to it. Unless given, `size` is a fifth of the
    input's shorter side (45 of 224 pixels) and `stride` a third of that.

    Returns:
        cam [K, ceil(H / stride), ceil(W / stride)], heatmap [K, H, W] in [-1, 1].
    """
    sizes = sample.size
    size = size or max(1, round(min(sizes) / 5))
    stride = stride or max(1, size // 3)
    if not 0 < stride <= max(sizes) or not 0 < size <= 2 * max(sizes):
        raise UsageError(
            f"occlusion of {size} pixels every {stride} does not fit an input of {' x '.join(map(str, sizes))}"
        )
    cover = filled(sample, fill)
    centres = [np.arange(-(-side // stride)) * stride + (stride - 1) // 2 for side in sizes]

    places = list(product(*centres))

    def paint(index: int, out: np.ndarray) -> None:
        starts = [at - (size - 1) // 2 for at in places[index]]
        patch = [slice(max(0, start), max(0, start + size)) for start in starts]
        patch.insert(sample.channel_axis, slice(None))
        out[...] = sample.image
        out[tuple(patch)] = cover[tuple(patch)]

    shape = [len(along) for along in centres]
    drops = sample.scores - sample.scores_of(paint, len(places))
    cam = drops.T.reshape(-1, *shape)
    # Each value stands for stride pixels a side, of which the last ones may lie beyond the border.
    large = upsampled(cam, [count * stride for count in shape])
    for axis, side in enumerate(sizes, 1):
        large = large.take(range(side), axis)
    return {"cam": cam, "heatmap": normalised(large, len(sizes))}
