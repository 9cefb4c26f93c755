"""Decoders in a Loop, image to tokens, as table recognisers are exported: explained token by token."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import parser
from onnxplain.engine.explainer import Explainer
from onnxplain.engine.gradcheck.certificate import certify
from onnxplain.graph_rewrites.rewrite import layers, rewrite

from ...networks import Array, explain, f32

STEPS, WORDS, WIDTH = 4, 5, 6


def decoder(batch: str = "N", declared: bool = False) -> onnx.ModelProto:
    """At each step attention over the image by the state, a recurrent cell that reads that and the last word, logits.

    The words chosen are integers, which carry no gradient. `declared`: whether the body tells its shapes.
    """
    state = f"float[{batch}, {WIDTH}]" if declared else "float[]"
    scores = f"float[{batch}, {WORDS}]" if declared else "float[]"
    words = f"int64[{batch}]" if declared else "int64[]"
    made = parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        net (float[{batch}, 3, 8, 8] image) => (float[{batch}, {STEPS}, {WORDS}] out) <int64 steps = {{{STEPS}}}> {{
            features = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (image, w)
            layer = Relu (features)
            shape = Constant <value_ints = [0, {WIDTH}, 16]> ()
            rows = Reshape (layer, shape)
            tokens = Transpose <perm = [0, 2, 1]> (rows)
            first = ReduceMean <axes = [1], keepdims = 0> (tokens)
            start = ArgMax <axis = 1, keepdims = 0> (first)
            yes = Constant <value = bool {{1}}> ()
            last, chosen, every = Loop (steps, yes, first, start) <body = step (
                int64 i, bool go, {state} h, {words} word) => (bool on, {state} h2, {words} word2, {scores} scores) {{
                on = Identity (go)
                end = Constant <value_ints = [2]> ()
                query = Unsqueeze (h, end)
                likeness = MatMul (tokens, query)
                shares = Softmax <axis = 1> (likeness)
                seen = Mul (shares, tokens)
                one = Constant <value_ints = [1]> ()
                context = ReduceSum <keepdims = 0> (seen, one)
                read = Gather (table, word)
                both = Concat <axis = 1> (context, read, h)
                cell = MatMul (both, u)
                h2 = Tanh (cell)
                scores = MatMul (h2, v)
                word2 = ArgMax <axis = 1, keepdims = 0> (scores)
            }}>
            out = Transpose <perm = [1, 0, 2]> (every)
        }}""")
    rng = np.random.default_rng(3)
    shapes = {"w": (WIDTH, 3, 3, 3), "table": (WIDTH, WIDTH), "u": (3 * WIDTH, WIDTH), "v": (WIDTH, WORDS)}
    for name, shape in shapes.items():
        made.graph.initializer.append(onnx.numpy_helper.from_array(f32(0.6 * rng.normal(size=shape)), name))
    if not declared:
        (body,) = (a.g for node in made.graph.node for a in node.attribute if a.name == "body")
        for value in (*body.input, *body.output):
            if value.name not in ("i", "go", "on"):
                value.type.tensor_type.ClearField("shape")
    return made


def by_numpy(feeds: dict[str, Array], model: onnx.ModelProto, shift: Array | None = None) -> tuple[Array, Array]:
    """The logits [N, STEPS, WORDS] in float64, and the layer [N, WIDTH, 16] that `shift` was added to."""
    w, table, u, v = (onnx.numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer[-4:])
    padded = np.pad(feeds["image"].astype(np.float64), [(0, 0), (0, 0), (1, 1), (1, 1)])
    layer = np.stack(
        [
            np.einsum("ncij,ocij->no", padded[:, :, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3], w)
            for y in range(4)
            for x in range(4)
        ],
        axis=2,
    )
    layer = np.maximum(layer, 0) + (0 if shift is None else shift)
    tokens = layer.transpose(0, 2, 1)
    h = tokens.mean(axis=1)
    word = h.argmax(axis=1)
    found = []
    for _ in range(STEPS):
        likeness = np.einsum("ntc,nc->nt", tokens, h)
        shares = np.exp(likeness - likeness.max(axis=1, keepdims=True))
        context = np.einsum("nt,ntc->nc", shares / shares.sum(axis=1, keepdims=True), tokens)
        h = np.tanh(np.concatenate([context, table[word], h], axis=1) @ u)
        found.append(h @ v)
        word = found[-1].argmax(axis=1)
    return np.stack(found, axis=1), layer


FEEDS = {"image": f32(np.random.default_rng(8).normal(size=(2, 3, 8, 8)))}


@pytest.mark.parametrize("declared", [False, True], ids=["without shapes", "with shapes"])
@pytest.mark.parametrize("batch", ["N", "2"])
@pytest.mark.parametrize("step", range(STEPS))
def test_each_token_is_explained(step: int, batch: str, declared: bool) -> None:
    model = decoder(batch, declared)
    explained = rewrite(model, score=f"out[:, {step}]", layers="layer", outputs=["score", "gradient", "cam"])
    logits, _ = by_numpy(FEEDS, model)
    ranking = np.argsort(-logits[:, step], axis=1)
    for target, index in ((2, np.array([2, 2])), (-1, ranking[:, 0])):
        found = explain(explained, FEEDS, [[target]] * 2)
        np.testing.assert_allclose(found["score"][:, 0], logits[[0, 1], step, index], rtol=1e-4)
        expected = np.zeros((2, WIDTH, 16))
        for channel in range(WIDTH):
            for place in range(16):
                shift = np.zeros((1, WIDTH, 16))
                shift[0, channel, place] = 1e-6
                plus, minus = (by_numpy(FEEDS, model, sign * shift)[0][[0, 1], step, index] for sign in (1, -1))
                expected[:, channel, place] = (plus - minus) / 2e-6
        got = found["gradient"][:, 0].reshape(2, WIDTH, 16)
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("declared", [False, True], ids=["without shapes", "with shapes"])
def test_its_layers_and_all_its_words_are_explained(declared: bool) -> None:
    model = decoder(declared=declared)
    assert [layer.name for layer in layers(model, score="sum(out)") if layer.is_default] == ["layer"]
    logits, _ = by_numpy(FEEDS, model)
    found = Explainer(model, score="sum(out)").run(FEEDS, 0)
    np.testing.assert_allclose(found["score"][:, 0], logits.sum(axis=(1, 2)), rtol=1e-4)
    words = {**FEEDS, "words": logits.argmax(axis=2)}
    shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    found = Explainer(model, score="sequence(out)").run(words, 0)
    np.testing.assert_allclose(found["score"][:, 0], np.log(shares.max(axis=2)).sum(axis=1), rtol=1e-4)


def test_it_is_certified() -> None:
    certificate = certify(decoder(), score="out[:, 1]")
    assert certificate.passed, certificate.findings
    assert {finding.name for finding in certificate.findings if finding.passed} >= {"placement", "images apart"}
