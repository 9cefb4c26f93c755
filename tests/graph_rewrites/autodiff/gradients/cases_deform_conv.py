"""Cases for `gradients/deform_conv.py`; offsets are no whole numbers, some of them reach outside."""

from typing import Any

import numpy as np

from .harness import Case

rng = np.random.default_rng(6)


def deformed(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    bias: bool = False,
    mask: bool = False,
    constant: tuple[int, ...] = (),
    opset: int = 19,
    **attrs: Any,
) -> Case:
    """Two samples of four channels, to six channels."""
    axes, taps, groups = len(sizes), int(np.prod(kernel)), attrs.get("offset_group", 1)
    pads, strides, dilations = (
        attrs.get(k, [d] * 2 * axes) for k, d in (("pads", 0), ("strides", 1), ("dilations", 1))
    )
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=False)]
    count = [(sizes[i] + pads[i] + pads[i + axes] - reach[i]) // strides[i] + 1 for i in range(axes)]
    x, weight = rng.normal(size=(2, 4, *sizes)), rng.normal(size=(6, 4 // attrs.get("group", 1), *kernel))
    offset = rng.uniform(-1.6, 1.6, (2, groups * taps * axes, *count))
    inputs: list[np.ndarray | None] = [x, weight, offset]
    inputs += [rng.normal(size=6) if bias else None, rng.uniform(size=(2, groups * taps, *count)) if mask else None]
    while inputs[-1] is None:
        inputs.pop()
    volume = "ONNX Runtime deforms convolutions of images alone" if axes != 2 else ""
    return Case("DeformConv", inputs, attrs, constant=constant, opset=opset, no_runtime=volume)


CASES: list[Case] = [
    deformed((5, 4), (2, 3)),
    deformed((5, 4), (3, 3), bias=True, mask=True, pads=[1, 1, 1, 1]),
    deformed((7, 6), (3, 2), bias=True, constant=(1, 3), strides=[2, 1], dilations=[1, 2], pads=[0, 1, 2, 1]),
    deformed((5, 4), (2, 2), mask=True, offset_group=2, kernel_shape=[2, 2]),
    deformed((5, 4), (2, 2), bias=True, mask=True, offset_group=4, group=2, opset=22),
    deformed((5, 1), (2, 1), mask=True, group=2),
    deformed((4, 3, 3), (2, 1, 2), bias=True, mask=True, offset_group=2, pads=[0, 1, 0, 1, 0, 0]),
    deformed((6,), (3,), mask=True, strides=[2]),
]
