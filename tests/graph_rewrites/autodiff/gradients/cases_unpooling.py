"""Cases for `gradients/unpooling.py`."""

from typing import Any

import numpy as np

from .harness import Case

rng = np.random.default_rng(8)


def unpool(sizes: tuple[int, ...], output: list[int] | None = None, **attrs: Any) -> Case:
    """Two samples of two channels; every element goes to another place of its own channel."""
    x, axes = rng.normal(size=(2, 2, *sizes)), len(sizes)
    attrs = {"kernel_shape": [2] * axes, "strides": [2] * axes, **attrs}
    pads = np.array(attrs.get("pads", [0] * 2 * axes)).reshape(2, axes).sum(axis=0)
    plane = int(np.prod((np.array(sizes) - 1) * attrs["strides"] - pads + attrs["kernel_shape"]))
    places = np.stack([rng.permutation(plane)[: np.prod(sizes)] + i * plane for i in range(4)])
    inputs = [x, places.reshape(x.shape), *([] if output is None else [np.array(output)])]
    # With an output shape, ONNX Runtime counts positions in it; the specification's own test in the one without it.
    runtime = "ONNX Runtime reads the positions otherwise" if output else ""
    return Case("MaxUnpool", inputs, attrs, output_rank=2 + axes, no_runtime=runtime)


def columns(image: tuple[int, ...], block: tuple[int, ...], constant: tuple[int, ...] = (1, 2), **attrs: Any) -> Case:
    """Two samples of three channels."""
    axes = len(image)
    pads, strides, dilations = (
        attrs.get(k, [d] * 2 * axes) for k, d in (("pads", 0), ("strides", 1), ("dilations", 1))
    )
    reach = [(b - 1) * d + 1 for b, d in zip(block, dilations, strict=False)]
    count = [(image[i] + pads[i] + pads[i + axes] - reach[i]) // strides[i] + 1 for i in range(axes)]
    x = rng.normal(size=(2, 3 * int(np.prod(block)), int(np.prod(count))))
    inputs = [x, np.array(image), np.array(block)]
    return Case("Col2Im", inputs, attrs, constant=constant, opset=18, output_rank=2 + axes)


CASES: list[Case] = [
    unpool((2, 3)),
    unpool((4,), strides=[3]),
    unpool((2, 3), pads=[0, 1, 0, 1]),
    unpool((2, 1, 2)),
    unpool((2, 2), output=[2, 2, 5, 5]),
    columns((5, 4), (2, 3)),
    columns((5, 4), (2, 3), constant=()),
    columns((6, 7), (3, 2), pads=[1, 0, 2, 1], strides=[2, 2], dilations=[1, 2]),
    columns((4, 3, 3), (2, 1, 2)),
]
