"""Labels of axes against values: where a position is said to come from, and where it came from."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnxplain.graph_rewrites.axes.labels import Label, Pieces, Source, parts_of
from onnxplain.graph_rewrites.axes.trace import trace_axes
from onnxplain.graph_rewrites.model.model import read

from ..networks import Net, run

SHAPE = (2, 4, 6, 4)
EXTRA = -1.0  # in the place of what comes from no input


def steps_along(label: Label, size: int) -> np.ndarray | None:
    """For each position of an axis, its part of the coordinates in the input, [size, 4], less where sources begin."""
    parts = parts_of(label, size)
    if parts is None:
        return None
    rows = []
    for part in parts:
        sizes = [digit.size for digit in part.fold]
        for index in range(part.start, part.start + int(part.size or 0)):
            row = np.zeros(4)
            if isinstance(label, Pieces) and not part.fold:
                row[:] = np.nan
            for digit, step in zip(part.fold, np.unravel_index(index, sizes or (size,)), strict=False):
                source = digit.source
                if source.image is None:
                    return None
                row[source.image[1]] += source.scale * digit.stride * step
            rows.append(row)
    return np.array(rows)


def assert_labels_hold(model: onnx.ModelProto, values: np.ndarray) -> int:
    """The output's values are the coordinates that its labels tell; returns how many axes were known."""
    work = read(model)
    labels = trace_axes(work).of(work.graph.outputs[0])
    along = [steps_along(label, size) for label, size in zip(labels, values.shape, strict=True)]
    if any(one is None for one in along):
        return 0
    starts = np.zeros(4)
    for source in set().union(*map(sources_in, labels)):
        starts[source.image[1]] += source.offset
    # An axis of a single position is dropped by a reshape: of it nothing is told.
    axes = sorted({source.image[1] for source in set().union(*map(sources_in, labels))})
    for place in np.ndindex(*values.shape):
        told = sum(one[index] for one, index in zip(along, place, strict=True))  # type: ignore[index, misc]
        if values[place] == EXTRA:
            continue
        expected = np.array(np.unravel_index(int(values[place]), SHAPE))
        np.testing.assert_array_equal((told + starts)[axes], expected[axes])
    return len(labels)


def sources_in(label: Label) -> set[Source]:
    """The sources that the label goes through."""
    folds = [part.fold for part in parts_of(label, None) or ()]
    return {digit.source for fold in folds for digit in fold if digit.source.image is not None}


def _factors(draw: Any, total: int) -> list[int]:
    result = []
    while total > 1 and len(result) < 4:
        divisor = draw(st.sampled_from([d for d in range(2, total + 1) if total % d == 0]))
        result.append(divisor)
        total //= divisor
    return [*result, total] if total > 1 else result


@st.composite
def networks(draw: Any) -> onnx.ModelProto:
    """A few movements of one input, one after the other."""
    net = Net()
    x, shape = net.input("x", SHAPE), list(SHAPE)
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["Transpose", "Reshape", "merge", "Slice", "Concat", "Gather", "Relu"]))
        axis = draw(st.integers(0, len(shape) - 1))
        if kind == "Transpose":
            order = draw(st.permutations(range(len(shape))))
            x, shape = net.add("Transpose", x, perm=order), [shape[one] for one in order]
        elif kind == "Reshape":
            new = [*shape[:axis], *_factors(draw, shape[axis]), *shape[axis + 1 :]]
            if 0 < len(new) <= 7:
                x, shape = net.add("Reshape", x, net.const(new, np.int64)), new
        elif kind == "merge" and axis + 1 < len(shape):
            new = [*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]]
            x, shape = net.add("Reshape", x, net.const(new, np.int64)), new
        elif kind == "Slice" and shape[axis] > 2:
            start, stop = sorted(draw(st.sets(st.integers(0, shape[axis]), min_size=2, max_size=2)))
            ends = [net.const([one], np.int64) for one in (start, stop, axis)]
            x, shape[axis] = net.add("Slice", x, *ends), stop - start
        elif kind == "Concat":
            extra = net.const(np.full([*shape[:axis], 1, *shape[axis + 1 :]], EXTRA))
            order = [extra, x] if draw(st.booleans()) else [x, extra]
            x, shape[axis] = net.add("Concat", *order, axis=axis), shape[axis] + 1
        elif kind == "Gather":
            indices = draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=shape[axis]))
            x, shape[axis] = net.add("Gather", x, net.const(indices, np.int64), axis=axis), len(indices)
        elif kind == "Relu":
            x = net.add("Identity", x)
    net.output(net.add("Identity", x, out="y"), shape)
    return net.model()


@settings(
    max_examples=150, derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(networks())
def test_labels_are_where_values_went(model: onnx.ModelProto) -> None:
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    assert_labels_hold(model, run(model, {"x": values})["y"])


def test_windows_and_their_way_back_are_known() -> None:
    net = Net()
    x = net.add("Reshape", net.input("x", SHAPE), net.const([2, 4, 3, 2, 2, 2], np.int64))
    x = net.add("Transpose", x, perm=[0, 2, 4, 1, 3, 5])
    windows = net.add("Reshape", x, net.const([12, 4, 2, 2], np.int64), out="windows")
    x = net.add("Reshape", windows, net.const([2, 3, 2, 4, 2, 2], np.int64))
    x = net.add("Transpose", x, perm=[0, 3, 1, 4, 2, 5])
    net.output(net.add("Reshape", x, net.const(SHAPE, np.int64), out="y"), SHAPE)
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    assert assert_labels_hold(net.model(), run(net.model(), {"x": values})["y"]) == 4
    trace = trace_axes(work := read(net.model()))
    assert [len(label or ()) for label in trace.of(work.graph.tensors()["windows"])] == [3, 1, 1, 1]
