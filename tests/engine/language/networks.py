"""Small seeded captioners and question answerers with their records, and a replica of them in numpy."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxplain import Preprocess
from onnxplain.graph_rewrites.model.metadata import add_metadata

from ...graph_rewrites.networks import Array, Net

SIDE, UNITS, END = 8, 6, 2**31
SEED = 102  # its captioner calls PHOTO "square red a" and ends there
WORDS = ["<pad>", "<begin>", "<end>", "a", "red", "blue", "circle", "square", "above"]
ANSWERS = ["red", "blue", "2", "yes"]
PREPROCESS = Preprocess((SIDE, SIDE), scale=1 / 255)
CAPTIONS: dict[str, Any] = {
    "input": "tokens",
    "vocabulary": WORDS,
    "begin": "<begin>",
    "end": "<end>",
    "pad": "<pad>",
    "unknown": None,
    "length": 6,
}
QUESTIONS = {**CAPTIONS, "input": "question", "begin": None, "end": None}
PHOTO: Any = np.random.default_rng(3).integers(0, 256, (12, 16, 3), np.uint8)


def recorded(model: onnx.ModelProto, **fields: Any) -> onnx.ModelProto:
    """The model with its preprocessing and `fields` in its record."""
    add_metadata(model, preprocessing=PREPROCESS.to_json(), **fields)
    return model


def without(model: onnx.ModelProto, key: str) -> onnx.ModelProto:
    """The model, in place, without a field of its record."""
    (entry,) = model.metadata_props
    record = json.loads(entry.value)
    del record[key]
    entry.value = json.dumps(record)
    return model


def weights(seed: int, answers: int = 4) -> dict[str, Array]:
    """The weights of all networks here, by name."""
    rng = np.random.default_rng(seed)
    maps = 6 * SIDE * SIDE // 4
    return {
        "kernel": rng.normal(size=(6, 3, 3, 3)) / 4,
        "bias": rng.normal(size=6) / 4,
        "project": rng.normal(size=(UNITS, maps)) / 4,
        "table": rng.normal(size=(len(WORDS), UNITS)),
        "W": rng.normal(size=(1, 4 * UNITS, UNITS)),
        "R": rng.normal(size=(1, 4 * UNITS, UNITS)),
        "B": rng.normal(size=(1, 8 * UNITS)) / 2,
        "words": 3 * rng.normal(size=(UNITS, len(WORDS))),
        "answers": 4 * rng.normal(size=(answers, UNITS)),
    }


class TextNet(Net):
    """A net with the weights above; `prefix` keeps the names of a loop's body apart from those around it."""

    def __init__(self, seed: int, prefix: str = "", answers: int = 4) -> None:
        super().__init__(seed=seed)
        self.prefix = prefix
        if not prefix:
            for name, values in weights(seed, answers).items():
                self.const(values, name=name)

    def add(self, op: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        return super().add(op, *inputs, out=out or f"{self.prefix}t{len(self.nodes)}", **attributes)

    def ints(self, *values: int) -> str:
        """A vector of integers."""
        return self.const(values, np.int64, name=f"{self.prefix}i{len(self.initializers)}")

    def vector(self) -> str:
        """`image` [N, 3, SIDE, SIDE] to a vector [N, UNITS], by the layer `maps`."""
        image = self.input("image", ["N", 3, SIDE, SIDE])
        maps = self.add("Conv", image, "kernel", "bias", pads=[1] * 4, strides=[2, 2])
        maps = self.add("Relu", maps, out="maps")
        return self.add("Tanh", self.add("Gemm", self.add("Flatten", maps), "project", transB=1), out="vector")

    def embedded(self, tokens: str) -> str:
        """Token ids [N, T] to vectors [T, N, UNITS]."""
        return self.add("Transpose", self.add("Gather", "table", tokens), perm=[1, 0, 2])

    def lstm(self, steps: str) -> tuple[str, str]:
        """The hidden states [T, 1, N, UNITS] of steps [T, N, UNITS], and the last one [1, N, UNITS]."""
        found = f"{self.prefix}states", f"{self.prefix}last"
        self.nodes.append(helper.make_node("LSTM", [steps, "W", "R", "B"], found, hidden_size=UNITS))
        return found

    def following(self, tokens: str, out: str) -> str:
        """The scores [N, T, words] of what follows each token; the LSTM's first input is the vector."""
        first = self.add("Unsqueeze", "vector", self.ints(0))
        states, _ = self.lstm(self.add("Concat", first, self.embedded(tokens), axis=0))
        states = self.add("Slice", states, self.ints(1), self.ints(END), self.ints(0))
        states = self.add("Transpose", self.add("Squeeze", states, self.ints(1)), perm=[1, 0, 2])
        return self.add("MatMul", states, "words", out=out)


def captioner(
    length: int | str = "T", tokens: str = "tokens", output: str = "logits", seed: int = SEED, **text: Any
) -> onnx.ModelProto:
    """`image` and token ids [N, T] to `logits` [N, T, words]."""
    net = TextNet(seed)
    net.vector()
    net.following(net.input(tokens, ["N", length], TensorProto.INT64), output)
    net.output(output, ["N", length, len(WORDS)])
    return recorded(net.model(), text={**CAPTIONS, "input": tokens, **text})


def greedy_decoder(seed: int = SEED, **text: Any) -> onnx.ModelProto:
    """`image` to `caption` [N, length]: the captioner's own steps in a Loop, which does not stop at the end token."""
    net, body = TextNet(seed), TextNet(seed, prefix="body_")
    net.vector()
    body.input("i", [], TensorProto.INT64)
    body.input("going", [], TensorProto.BOOL)
    so_far = body.input("so_far", ["N", "T"], TensorProto.INT64)
    last = body.add("Gather", body.following(so_far, "scores"), body.ints(-1), axis=1)
    word = body.add("Squeeze", body.add("ArgMax", last, axis=2), body.ints(2))
    body.output(body.add("Identity", "going", out="still"), [], TensorProto.BOOL)
    body.output(body.add("Concat", so_far, word, axis=1, out="longer"), ["N", "T"], TensorProto.INT64)
    graph = helper.make_graph(body.nodes, "step", body.inputs, body.outputs, body.initializers)
    shape = net.add("Concat", net.add("Shape", "image", end=1), net.ints(1), axis=0)
    begin = numpy_helper.from_array(np.array([WORDS.index("<begin>")]))
    begins = net.add("ConstantOfShape", shape, value=begin)
    every = net.add("Loop", net.ints(CAPTIONS["length"]), "", begins, body=graph)
    every = net.add("Slice", every, net.ints(1), net.ints(END), net.ints(1), out="caption")
    net.output(every, ["N", None], TensorProto.INT64)
    return recorded(net.model(), text={**CAPTIONS, "input": None, **text})


def answerer(
    length: int | str = "L", answers: list[str] | None = ANSWERS, seed: int = SEED, **text: Any
) -> onnx.ModelProto:
    """`image` and `question` [N, L] to `logits` [N, answers]: vector and last state multiplied, then a linear layer."""
    count = len(answers or ANSWERS)
    net = TextNet(seed, answers=count)
    _, last = net.lstm(net.embedded(net.input("question", ["N", length], TensorProto.INT64)))
    fused = net.add("Mul", net.vector(), net.add("Squeeze", last, net.ints(0)))
    net.output(net.add("Gemm", fused, "answers", transB=1, out="logits"), ["N", count])
    return recorded(net.model(), text={**QUESTIONS, **text}, labels=answers)


class Replica:
    """What the networks compute, in numpy and float64."""

    def __init__(self, seed: int = SEED) -> None:
        self.weights = weights(seed)

    def vector(self, image: Array) -> Array:
        """The image [3, SIDE, SIDE] as the LSTM sees it."""
        padded = np.pad(image.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
        maps = np.einsum("chwij,kcij->khw", windows, self.weights["kernel"]) + self.weights["bias"][:, None, None]
        return np.asarray(np.tanh(self.weights["project"] @ np.maximum(maps, 0).ravel()))

    def state(self, steps: Array) -> Array:
        """The hidden state after the last step, by the operator's specification (gates i, o, f, c)."""
        (w,), (r,), bias = self.weights["W"], self.weights["R"], self.weights["B"].reshape(2, -1).sum(axis=0)
        hidden = cell = np.zeros(UNITS)
        for step in steps:
            i, o, f, c = np.split(w @ step + r @ hidden + bias, 4)
            cell = cell / (1 + np.exp(-f)) + np.tanh(c) / (1 + np.exp(-i))
            hidden = np.tanh(cell) / (1 + np.exp(-o))
        return hidden

    def following(self, image: Array, tokens: list[int]) -> Array:
        """The scores [words] of the word that follows the tokens."""
        state = self.state(np.vstack([self.vector(image), self.weights["table"][tokens]]))
        return np.asarray(state @ self.weights["words"])

    def answers(self, image: Array, question: list[int]) -> Array:
        """The scores of the answers."""
        state = self.state(self.weights["table"][question])
        return np.asarray(self.weights["answers"] @ (self.vector(image) * state))


def log_softmax(values: Array) -> Array:
    """The logarithms of the softmax shares."""
    return np.asarray(values - values.max() - np.log(np.exp(values - values.max()).sum()))
