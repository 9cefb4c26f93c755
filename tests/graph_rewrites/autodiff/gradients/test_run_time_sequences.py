"""Sequences whose length or positions run time decides."""

from __future__ import annotations

import numpy as np
import pytest
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.vjp import append_vjp

from .models import assert_gradients, model_of

rng = np.random.default_rng(5)
X, Z, W = rng.normal(size=(2, 6)), rng.normal(size=(2, 6)), rng.normal(size=(6, 6)) / 2

# y in terms of x and z, with `at` and `n` fed at run time.
MODELS = {
    "an element": "s = SequenceConstruct(x, z, x) a = SequenceAt(s, at) y = Mul(a, a)",
    "elements of several shapes": (
        "m = MatMul(x, w) s = SequenceConstruct(w, x, m) t = SequenceInsert(s, x, at) a = SequenceAt(t, n) "
        "y = Mul(a, z)"
    ),
    "an element, read twice": (
        "s = SequenceConstruct(x, z, x) a = SequenceAt(s, at) b = SequenceAt(s, n) y = Mul(a, b)"
    ),
    "pieces": "s = SplitToSequence<axis = 1>(x, n) a = SequenceAt(s, at) y = Mul(a, a)",
    "pieces joined": "s = SplitToSequence<axis = 1>(x, n) a = ConcatFromSequence<axis = 1>(s) y = Mul(a, z)",
    "inserted": (
        "s = SequenceConstruct(x, z) e = Exp(x) t = SequenceInsert(s, e, at) a = SequenceAt(t, at) y = Mul(a, x)"
    ),
    "inserted and joined": (
        "s = SequenceConstruct(x, z) e = Exp(x) t = SequenceInsert(s, e, at) a = ConcatFromSequence<axis = 0>(t) "
        "y = Sin(a)"
    ),
    "erased": (
        "e = Exp(x) s = SequenceConstruct(x, z, e) t = SequenceErase(s, at) a = ConcatFromSequence<axis = -1>(t) "
        "y = Sin(a)"
    ),
    "in a branch": (
        "t = SequenceConstruct(x) c = Less(at, n) s = If(c) <"
        "then_branch = a () => (seq(float[N,M]) p) { p = SequenceInsert(t, z) }, "
        "else_branch = b () => (seq(float[N,M]) q) { q = Identity(t) }> a = ConcatFromSequence<axis = 0>(s) y = Sin(a)"
    ),
}


@pytest.mark.parametrize("at", [1, -1])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_what_run_time_decides(name: str, at: int) -> None:
    body = MODELS[name]
    model = model_of(
        f"g (float[2,6] x, float[2,6] z, float[6,6] w, int64 at, int64 n) => (float[a,b] y) {{ {body} }}", 18
    )
    feeds = {"x": X, "z": Z, "w": W, "at": np.array(at), "n": np.array(2)}
    wrt = [name for name in ("x", "z") if f"{name})" in body or f"{name}," in body]
    assert_gradients(model, "y", wrt, feeds)


SUM = "two = Constant<value = int64[1] {2}>() q = Mul(t, t) y = ReduceSum<keepdims = 0>(q, two)"
APPENDED = """
g (float[2,6] x, float[6,6] w, int64 n) => (float[a,b] y, float[2,6] last) {
  empty = SequenceEmpty()
  last, s = Loop (n, none, x, empty) <
    body = step (int64 i, bool c, float[2,6] h, seq(float[a,b]) l) => (bool c2, float[2,6] h2, seq(float[a,b]) l2) {
      c2 = Identity(c)
      p = MatMul(h, w)
      h2 = Tanh(p)
      e = Mul(h2, h)
      l2 = SequenceInsert(l, e)
    }>
  t = ConcatFromSequence<axis = 1>(s)
  y = Mul(t, t)
}"""


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize(("output", "trips"), [("y", 3), ("y", 1), ("last", 3)])
def test_a_list_that_a_loop_appends_to(output: str, trips: int, stacked: bool) -> None:
    text = APPENDED
    if stacked:
        text = text.replace("<axis = 1>(s)", "<axis = 1, new_axis = 1>(s)").replace("y = Mul(t, t)", SUM)
    feeds = {"x": X, "w": W, "n": np.array(trips)}
    assert_gradients(model_of(text), output, ["x", "w"], feeds)


def test_elements_that_grow_from_step_to_step() -> None:
    model = model_of("""
g (float[6] x, int64 n) => (float[a] y) {
  empty = SequenceEmpty()
  one = Constant<value = int64[1] {1}>()
  zero = Constant<value = int64[1] {0}>()
  s = Loop (n, none, empty) <body = step (int64 i, bool c, seq(float[a]) l) => (bool c2, seq(float[a]) l2) {
    c2 = Identity(c)
    j = Reshape(i, one)
    end = Add(j, one)
    head = Slice(x, zero, end)
    e = Mul(head, head)
    l2 = SequenceInsert(l, e)
  }>
  t = ConcatFromSequence<axis = 0>(s)
  y = Sin(t)
}""")
    assert_gradients(model, "y", ["x"], {"x": X[0], "n": np.array(4)})


def test_steps_may_ask_how_long_their_list_is_to_stop() -> None:
    model = model_of(APPENDED.replace("c2 = Identity(c)", "m = SequenceLength(l) c2 = Less(m, n)"))
    assert_gradients(model, "y", ["x", "w"], {"x": X, "w": W, "n": np.array(2)})


def test_a_list_that_the_steps_read_is_refused() -> None:
    reading = "l1 = SequenceInsert(l, e) f = SequenceAt(l1, i) l2 = SequenceInsert(l1, f)"
    model = model_of(APPENDED.replace("l2 = SequenceInsert(l, e)", reading))
    with pytest.raises(OnnxplainError, match=r"operator Loop .* reads a sequence that it carries .*SequenceAt"):
        append_vjp(model, "y", "x")
