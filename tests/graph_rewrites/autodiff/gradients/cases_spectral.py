"""Cases for `gradients/spectral.py`: the DFT in its forms of opset 17 and 20, and the STFT."""

from typing import Any

import numpy as np

from .harness import Case

rng = np.random.default_rng(10)


def transform(
    parts: int,
    length: int | None = None,
    axis: int = 1,
    opset: int = 17,
    size: int = 6,
    run_time_axis: bool = False,
    **attrs: Any,
) -> Case:
    """Real (one part) or complex (two) signals along one of three axes."""
    shape = [3, 2, 4]
    shape[axis] = size
    inputs: list[Any] = [rng.normal(size=(*shape, parts)), None if length is None else np.array(length)]
    constant: tuple[int, ...] = () if length is None else (1,)
    if opset < 20:
        attrs["axis"] = axis
    else:
        inputs.append(np.array(axis - 4))
        constant = constant if run_time_axis else (*constant, 2)
    while inputs[-1] is None:
        inputs.pop()
    note = f"{attrs} to {length}{' along an axis of run time' if run_time_axis else ''}"
    return Case("DFT", inputs, attrs, constant=constant, opset=opset, note=note)


def frames(samples: int, step: int, window: int | None, length: int | None, onesided: int = 1, parts: int = 1) -> Case:
    """Two signals, cut into frames."""
    inputs: list[Any] = [rng.normal(size=(2, samples, parts)), np.array(step)]
    inputs += [None if window is None else rng.normal(size=window), None if length is None else np.array(length)]
    while inputs[-1] is None:
        inputs.pop()
    constant = tuple(i for i in (1, 3) if i < len(inputs) and inputs[i] is not None)
    return Case("STFT", inputs, {"onesided": onesided}, constant=constant, output_rank=4)


CASES: list[Case] = [
    *(transform(parts, length, opset=opset) for parts in (1, 2) for length in (None, 5, 8) for opset in (17, 20)),
    *(transform(2, length, axis=2, inverse=1, opset=opset) for length in (None, 4, 7) for opset in (17, 20)),
    *(transform(1, length, onesided=1, opset=opset) for length in (None, 4, 7) for opset in (17, 20)),
    *(transform(2, length, inverse=1, onesided=1, opset=20, size=5) for length in (None, 6, 7, 12)),
    transform(2, axis=0),
    transform(1, 8, opset=20, run_time_axis=True, onesided=1),
    transform(2, opset=20, run_time_axis=True, inverse=1, onesided=1, axis=2),
    frames(16, 4, 6, None),
    frames(16, 3, None, 5),
    frames(15, 4, 8, 8, onesided=0),
    frames(13, 2, 4, None, onesided=0, parts=2),
]
