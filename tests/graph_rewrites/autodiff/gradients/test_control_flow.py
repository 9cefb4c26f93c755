"""Gradients through If, Loop and Scan."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnxplain.graph_rewrites.errors import OnnxplainError
from onnxplain.graph_rewrites.vjp import append_vjp

from .cases_recurrent import recurrent
from .harness import signed_cotangent
from .models import assert_gradients, gradients64, model_of, run64, signed

rng = np.random.default_rng(1)
X, W, B = rng.normal(size=(3, 4)) / 3, rng.normal(size=(4, 4)), rng.normal(size=4)
SEQUENCE, FEATURES = rng.normal(size=(3, 5, 4)), rng.normal(size=(5, 2))

LOOP = """
agraph (float[SIZES] x, float[4,4] w, int64 n, float limit) => (float[SIZES] y, float[k,SIZES] s) {
  go = Constant<value = bool {1}>()
  y, s = Loop (n, go, x) <body = body (int64 i, bool c, float[SIZES] h) => (bool c2, float[SIZES] h2, float[SIZES] o) {
    p = MatMul(h, w)
    h2 = Tanh(p)
    o = Mul(h2, h)
    m = ReduceMax<keepdims = 0>(h2)
    c2 = Less(m, limit)
  }>
}"""


@pytest.mark.parametrize("sizes", ["3,4", "N,4"], ids=["static", "symbolic"])
@pytest.mark.parametrize(("limit", "trips", "steps"), [(2.0, 4, 4), (0.82, 50, 3), (2.0, 0, 0)])
def test_a_loop_ends_by_its_count_by_its_condition_or_at_once(limit: float, trips: int, steps: int, sizes: str) -> None:
    model = model_of(LOOP.replace("SIZES", sizes))
    feeds = {"x": X, "w": W, "n": np.array(trips), "limit": np.array(limit)}
    (stacked,) = run64(model, ["s"], feeds)
    assert len(stacked) == steps
    for output in ("y", "s"):
        grads = assert_gradients(model, output, ["x", "w"], feeds)
        assert bool(grads["w"].any()) == (steps > 0)


def test_a_loop_without_a_count_or_a_condition() -> None:
    text = """
agraph (float[3] x, float limit) => (float[3] y) {
  go = Constant<value = bool {1}>()
  y = Loop (none, go, x) <body = body (int64 i, bool c, float[3] h) => (bool c2, float[3] h2) {
    h2 = Mul(h, h)
    m = ReduceMax<keepdims = 0>(h2)
    c2 = Greater(m, limit)
  }>
}"""
    model = model_of(text)
    feeds = {"x": np.array([0.9, 0.5, 0.7]), "limit": np.array(0.5)}
    grads = assert_gradients(model, "y", ["x"], feeds)
    assert not np.allclose(grads["x"], 0)


def test_a_loop_uses_its_step_number_and_carries_integers_and_constants() -> None:
    model = model_of(
        """
agraph (float[2] x, float[2] b, int64 n) => (float[2] y, float[2] last) {
  zero = Constant<value = int64 {1}>()
  y, count, last = Loop (n, none, x, zero, b) <body = body (int64 i, bool c, float[2] h, int64 j, float[2] f)
      => (bool c2, float[2] h2, int64 j2, float[2] f2) {
    c2 = Identity(c)
    step = CastLike(i, h)
    other = CastLike(j, h)
    one = Constant<value = int64 {3}>()
    j2 = Add(j, one)
    a = Mul(h, step)
    b2 = Mul(a, h)
    bb = Mul(b2, f)
    h2 = Add(bb, other)
    f2 = Identity(f)
  }>
}""".replace('""', "none")
    )
    feeds = {"x": np.array([0.3, -0.4]), "b": np.array([0.2, 0.1]), "n": np.array(4)}
    assert_gradients(model, "y", ["x", "b"], feeds)
    cotangent = np.array([1.0, -2.0])
    grads = gradients64(model, "last", ["b"], feeds, cotangent)
    np.testing.assert_array_equal(grads["b"], cotangent)


SCAN = """
agraph (float[SIZES,4] h0, float[SIZES,T,4] x, float[4,4] w, float[T,2] z)
    => (float[SIZES,4] y, float[SIZES,4,T] s, float[T] q) {
  y, s, q = Scan <num_scan_inputs = 2, scan_input_axes = [A,0], scan_input_directions = [D,E],
                  scan_output_axes = [-1,0], scan_output_directions = [F,G],
    body = body (float[SIZES,4] h, float[SIZES,4] u, float[2] v) => (float[SIZES,4] h2, float[SIZES,4] o, float qq) {
      p = MatMul(h, w)
      vs = ReduceSum<keepdims = 0>(v)
      r = Add(p, u)
      r2 = Add(r, vs)
      h2 = Tanh(r2)
      o = Mul(h2, h)
      qq = ReduceSum<keepdims = 0>(o)
    }>(h0, x, z)
}"""


@pytest.mark.parametrize("directions", ["0000", "1001", "0110", "1111"])
@pytest.mark.parametrize("output", ["y", "s", "q"])
def test_a_scan_in_every_direction_and_along_any_axis(directions: str, output: str) -> None:
    text = SCAN
    for letter, direction in zip("DEFG", directions, strict=True):
        text = text.replace(f"{letter},", f"{direction},").replace(f"{letter}]", f"{direction}]")
    symbolic = output == "s"
    text = text.replace("SIZES", "N" if symbolic else "3").replace("[A,0]", "[-2,0]" if symbolic else "[1,0]")
    if not symbolic:
        text = text.replace("T]", "5]").replace("T,", "5,")
    feeds = {"h0": X, "x": SEQUENCE, "w": W, "z": FEATURES}
    assert_gradients(model_of(text), output, ["h0", "x", "w", "z"], feeds)


def test_a_scan_without_states() -> None:
    model = model_of("""
agraph (float[T,4] x, float[4,4] w) => (float[T,4] y) {
  y = Scan <num_scan_inputs = 1, body = body (float[4] u) => (float[4] o) {
    p = MatMul(u, w)
    o = Sin(p)
  }>(x)
}""")
    assert_gradients(model, "y", ["x", "w"], {"x": SEQUENCE[0], "w": W})


IF = """
agraph (float[3,4] x, float[4,4] w, float[4] b, bool f) => (float[3,4] y, float[3,4] z) {
  a = Exp(x)
  y, z = If (f) <
    then_branch = yes () => (float[3,4] t, float[3,4] u) {
      p = MatMul(a, w)
      t = Tanh(p)
      u = Relu(p)
    },
    else_branch = no () => (float[3,4] t, float[3,4] u) {
      t = Add(a, b)
      u = Identity(a)
    }>
}"""


@pytest.mark.parametrize("condition", [True, False])
def test_an_if_whose_branches_capture_different_tensors(condition: bool) -> None:
    model = model_of(IF)
    feeds = {"x": X, "w": W, "b": B, "f": np.array(condition)}
    grads = assert_gradients(model, "y", ["x", "w", "b"], feeds)
    assert bool(grads["w"].any()) == condition
    assert bool(grads["b"].any()) == (not condition)
    assert_gradients(model, "z", ["x", "w"], feeds)


NESTED_X = rng.normal(size=(2, 3, 4)) / 2
NESTED = """
agraph (float[T,N,4] x, float[4,4] w, float[N,4] h0, float[4] b, bool f) => (float[T,N,4] y) {
  a = Mul(x, x)
  n = Constant<value = int64 {3}>()
  y = If (f) <
    then_branch = yes () => (float[T,N,4] t1) {
      hl, t1 = Scan <num_scan_inputs = 1, body = each (float[N,4] h, float[N,4] u) => (float[N,4] hn, float[N,4] o) {
        e = Add(h, u)
        go = Constant<value = bool {1}>()
        hn = Loop (n, go, e) <body = again (int64 i, bool c, float[N,4] q) => (bool c2, float[N,4] q2) {
          c2 = Identity(c)
          p = MatMul(q, w)
          pb = Add(p, b)
          pu = Mul(pb, u)
          pt = Tanh(pu)
          step = CastLike(i, pt)
          q2 = Add(pt, step)
        }>
        o = Mul(hn, u)
      }>(h0, a)
    },
    else_branch = no () => (float[T,N,4] t3) { t3 = Add(a, b) }>
}"""


@pytest.mark.parametrize("condition", [True, False])
def test_a_loop_in_a_scan_in_an_if_with_tensors_captured_from_all_levels(condition: bool) -> None:
    feeds = {"x": NESTED_X, "w": W / 2, "h0": X, "b": B, "f": np.array(condition)}
    assert_gradients(model_of(NESTED), "y", ["x", "w", "h0", "b"], feeds, tolerance=1e-5)


def test_a_state_that_changes_its_shape_is_refused() -> None:
    model = model_of("""
agraph (float[1] x, int64 n) => (float[k] y) {
  go = Constant<value = bool {1}>()
  y = Loop (n, go, x) <body = grow (int64 i, bool c, float[k] h) => (bool c2, float[j] h2) {
    c2 = Identity(c)
    h2 = Concat<axis = 0>(h, x)
  }>
}""")
    with pytest.raises(OnnxplainError, match=r"Loop .*carries 'h', whose shape changes"):
        append_vjp(model, "y", "x")


def test_random_numbers_in_a_body_are_refused() -> None:
    model = model_of("""
agraph (float[2] x, int64 n) => (float[2] y) {
  go = Constant<value = bool {1}>()
  y = Loop (n, go, x) <body = draw (int64 i, bool c, float[2] h) => (bool c2, float[2] h2) {
    c2 = Identity(c)
    noise = RandomNormalLike(h)
    h2 = Mul(h, noise)
  }>
}""")
    with pytest.raises(OnnxplainError, match=r"RandomNormalLike .*draws random numbers"):
        append_vjp(model, "y", "x")


def test_rectifiers_in_a_body_follow_the_rule_set() -> None:
    """Guided backpropagation through two steps of h -> relu(-h * a), by hand."""
    model = model_of(
        """
agraph (float[4] x, float[4] a) => (float[4] y) {
  n = Constant<value = int64 {2}>()
  y = Loop (n, none, x) <body = body (int64 i, bool c, float[4] h) => (bool c2, float[4] h2) {
    c2 = Identity(c)
    p = Mul(h, a)
    h2 = Relu(p)
  }>
}""".replace('""', "none")
    )
    feeds = {"x": np.array([1, 2, -1, 3], np.float32), "a": np.array([2, 3, 2, -1], np.float32)}
    cotangent = np.array([1, -1, 1, 1], np.float32)
    explained = append_vjp(model, "y", "x", rules="guided")
    session = ort.InferenceSession(explained.SerializeToString(), providers=["CPUExecutionProvider"])
    (grad,) = session.run(["x_grad"], {**feeds, "y_cotangent": cotangent})
    np.testing.assert_array_equal(grad, [4, 0, 0, 0])


def test_the_gradient_of_a_gradient_through_a_scan() -> None:
    """d/dx of <dy/dx, v>."""
    text = SCAN.replace("SIZES", "3").replace("T]", "5]").replace("T,", "5,").replace("[A,0]", "[1,0]")
    for letter, direction in zip("DEFG", "0101", strict=True):
        text = text.replace(f"{letter},", f"{direction},").replace(f"{letter}]", f"{direction}]")
    model = model_of(text)
    feeds = {"h0": X, "x": SEQUENCE, "w": W, "z": FEATURES}
    first = append_vjp(model, "y", ["x"])
    feeds["y_cotangent"] = signed(model, "y", feeds)
    assert_gradients(first, "x_grad", ["x", "w", "h0", "y_cotangent"], feeds)


@pytest.mark.parametrize("trips", [0, 3])
def test_the_gradient_of_a_gradient_through_a_loop(trips: int) -> None:
    model = model_of(LOOP.replace("SIZES", "N,4"))
    feeds = {"x": X, "w": W, "n": np.array(trips), "limit": np.array(2.0)}
    first = append_vjp(model, "s", ["w"])
    feeds["s_cotangent"] = signed(model, "s", feeds)
    assert_gradients(first, "w_grad", ["x", "w", "s_cotangent"], feeds, tolerance=1e-6)


def test_the_gradient_of_a_gradient_through_nested_bodies() -> None:
    model = model_of(NESTED)
    feeds = {"x": NESTED_X, "w": W / 2, "h0": X, "b": B, "f": np.array(True)}
    first = append_vjp(model, "y", ["x"])
    feeds["y_cotangent"] = signed(model, "y", feeds)
    assert_gradients(first, "x_grad", ["x", "w", "y_cotangent"], feeds, tolerance=1e-6)
    assert first.ByteSize() < 60_000  # names of scopes in scopes do not repeat each other


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_the_gradient_of_a_gradient_through_a_recurrent_cell(op: str) -> None:
    case = recurrent(op, "b", "h", lengths=(2, 3), attrs={"direction": "reverse"})
    first = append_vjp(case.model(np.float32), "y0", ["x0", "x2"])
    feeds = {**case.feeds(), "y0_cotangent": signed_cotangent(case)}
    assert_gradients(first, "x2_grad", ["x0", "x2", "x5", "y0_cotangent"], feeds, tolerance=1e-6)


@pytest.mark.parametrize("kind", ["loop", "if", "scan"])
def test_bodies_of_float16(kind: str) -> None:
    """What the gradient nodes hand from step to step has one type, whatever they compute in."""
    scan = SCAN.replace("SIZES", "3").replace("T]", "5]").replace("T,", "5,").replace("[A,0]", "[1,0]")
    for letter in "DEFG":
        scan = scan.replace(f"{letter},", "0,").replace(f"{letter}]", "0]")
    text = {"loop": LOOP.replace("SIZES", "3,4"), "if": IF, "scan": scan}[kind]
    model, half = model_of(text), model_of(text.replace("float[", "float16[").replace("float ", "float16 "))
    given = {"x": SEQUENCE if kind == "scan" else X, "w": W, "b": B, "f": np.array(True), "h0": X, "z": FEATURES}
    given |= {"n": np.array(3), "limit": np.array(2.0)}
    feeds = {value.name: given[value.name] for value in model.graph.input}
    cotangent = signed(model, "y", feeds)
    expected = gradients64(model, "y", ["x", "w"], feeds, cotangent)
    explained = append_vjp(half, "y", ["x", "w"])
    onnx.checker.check_model(explained, full_check=True)
    session = ort.InferenceSession(explained.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {name: x.astype(np.float16) if x.dtype == np.float64 else x for name, x in feeds.items()}
    for name in ("x", "w"):
        (grad,) = session.run([f"{name}_grad"], {**fed, "y_cotangent": cotangent.astype(np.float16)})
        assert grad.dtype == np.float16
        np.testing.assert_allclose(grad, expected[name], atol=2e-2 * np.abs(expected[name]).max())
