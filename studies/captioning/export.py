"""Writes the captioner as ONNX: the teacher-forced graph, and the greedy decoder that has its loop inside."""

# PyTorch is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return"

from __future__ import annotations

import io
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime
import torch
from onnx import compose, numpy_helper
from onnxplain.engine.images.preprocess import Preprocess
from onnxplain.graph_rewrites.model.metadata import add_metadata
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

from .network import SIZE, VOCABULARY, WIDTH, Captioner

FOLDER = Path(__file__).parents[2] / "exported_models" / "captioner"
CAPTIONER, DECODER = "captioner.onnx", "captioner_greedy.onnx"
OPSET, IR_VERSION = 17, 8
PREPROCESS = Preprocess((SIZE, SIZE), scale=1 / 127.5, mean=(1.0,))
TOLERANCE = 1e-5  # of the logits, relative to the largest
SAMPLES, STEPS = 6, 9

# One LSTM step takes the image's vector, then each turn of the loop takes the word before and says the next. A caption
# that has ended says <end> until all of the batch have.
GREEDY = f"""
<ir_version: {IR_VERSION}, opset_import: ["": {OPSET}]>
greedy (float[N, {WIDTH}] vector) => (int64[N, T] tokens)
<float[words, {WIDTH}] embedding, float[1, gates, {WIDTH}] input_weight, float[1, gates, {WIDTH}] state_weight,
 float[1, biases] bias, float[{WIDTH}, words] word_weight, float[words] word_bias,
 int64[1] axis, int64[1] begin, int64[1] end, bool[1] no>
{{
    first = Unsqueeze (vector, axis)
    unused, state, cell = LSTM <hidden_size: int = {WIDTH}> (first, input_weight, state_weight, bias)
    batch = Shape <start: int = 0, end: int = 1> (vector)
    begins = Expand (begin, batch)
    running = Expand (no, batch)
    most = Constant <value_int: int = {VOCABULARY.length}> ()
    true = Constant <value: tensor = bool {{1}}> ()
    last_word, last_ended, last_state, last_cell, words = Loop (most, true, begins, running, state, cell) <body: graph =
        step (int64 turn, bool goes_on, int64[N] word, bool[N] ended, float[1, N, {WIDTH}] state_in,
              float[1, N, {WIDTH}] cell_in)
        => (bool go_on, int64[N] next, bool[N] end_reached, float[1, N, {WIDTH}] state_out,
            float[1, N, {WIDTH}] cell_out, int64[N] said)
        {{
            embedded = Gather (embedding, word)
            sequence = Unsqueeze (embedded, axis)
            none, state_out, cell_out = LSTM <hidden_size: int = {WIDTH}>
                (sequence, input_weight, state_weight, bias, , state_in, cell_in)
            output = Squeeze (state_out, axis)
            products = MatMul (output, word_weight)
            logits = Add (products, word_bias)
            likeliest = ArgMax <axis: int = 1, keepdims: int = 0> (logits)
            next = Where (ended, end, likeliest)
            said = Identity (next)
            ends = Equal (next, end)
            end_reached = Or (ended, ends)
            flags = Cast <to: int = 7> (end_reached)
            all_ended = ReduceMin <keepdims: int = 0> (flags)
            are_done = Cast <to: int = 9> (all_ended)
            go_on = Not (are_done)
        }}>
    tokens = Transpose <perm: ints = [1, 0]> (words)
}}
"""


def export(model: Captioner, folder: Path = FOLDER) -> None:
    """Writes both graphs of a trained captioner and compares them with it.

    Raises:
        ValueError: the files do not do what the trained network does.
    """
    model = _folded(model)
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (SAMPLES, 3, SIZE, SIZE)).astype(np.float32)
    tokens = rng.integers(0, len(VOCABULARY.vocabulary), (SAMPLES, STEPS))
    image_tensor, token_tensor = torch.from_numpy(images), torch.from_numpy(tokens)

    teacher = _traced(
        model,
        {"image": image_tensor, "tokens": token_tensor},
        "logits",
        {"image": {0: "N"}, "tokens": {0: "N", 1: "T"}, "logits": {0: "N", 1: "T"}},
    )
    looking = _traced(_Look(model).eval(), {"image": image_tensor}, "vector", {"image": {0: "N"}, "vector": {0: "N"}})
    greedy = compose.merge_models(looking, _greedy(model), io_map=[("vector", "vector")])
    record = {"captioner": VOCABULARY, "captioner_greedy": replace(VOCABULARY, input=None)}
    for (name, vocabulary), graph in zip(record.items(), (teacher, greedy), strict=True):
        graph.graph.name = name
        add_metadata(graph, preprocessing=PREPROCESS.to_json(), text=vocabulary.to_json())
        onnx.checker.check_model(graph, full_check=True)

    with torch.no_grad():
        expected, said = model(image_tensor, token_tensor).numpy(), greedy_tokens(model, image_tensor).numpy()
    difference = np.abs(_run(teacher, image=images, tokens=tokens) - expected).max() / np.abs(expected).max()
    if difference > TOLERANCE:
        raise ValueError(f"{CAPTIONER}: differs from the trained network by {difference:.1e}")
    if not np.array_equal(_run(greedy, image=images), said):
        raise ValueError(f"{DECODER}: says something else than the trained network")
    folder.mkdir(exist_ok=True)
    onnx.save(teacher, folder / CAPTIONER)
    onnx.save(greedy, folder / DECODER)


def greedy_tokens(model: Captioner, images: Tensor) -> Tensor:
    """The most probable word at each step, int64 [N, T], until all captions have ended; ended ones go on with <end>."""
    begin, end = (VOCABULARY.ids[str(token)] for token in (VOCABULARY.begin, VOCABULARY.end))
    vector = model.look(images)
    tokens = torch.full((len(images), 1), begin)
    ended = torch.zeros(len(images), dtype=torch.bool)
    while not ended.all() and tokens.shape[1] <= (VOCABULARY.length or 0):
        word = model.speak(vector, tokens)[:, -1].argmax(dim=1).masked_fill(ended, end)
        tokens = torch.cat([tokens, word[:, None]], dim=1)
        ended |= word == end
    return tokens[:, 1:]


class _Look(nn.Module):
    def __init__(self, model: Captioner) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model.look(image)


def _folded(model: Captioner) -> Captioner:
    """The same function with the normalisations around `vector`'s linear layers in their weights."""
    folded = deepcopy(model).eval()
    norm, first, relu, second, last = folded.vector
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    with torch.no_grad():
        first.bias += first.weight @ (norm.bias - norm.running_mean * scale)
        first.weight *= scale
    folded.vector = nn.Sequential(first, relu, fuse_linear_bn_eval(second, last))
    return folded


def _traced(
    module: nn.Module, inputs: dict[str, Tensor], output: str, axes: dict[str, dict[int, str]]
) -> onnx.ModelProto:
    buffer = io.BytesIO()
    torch.onnx.export(
        module,
        tuple(inputs.values()),
        buffer,
        dynamo=False,
        opset_version=OPSET,
        input_names=list(inputs),
        output_names=[output],
        dynamic_axes=axes,
    )
    graph = gs.import_onnx(onnx.load_model_from_string(buffer.getvalue()))
    for node in graph.nodes:
        if node.op == "LSTM":
            node.inputs = node.inputs[:4]  # the exporter makes zeros for the first state, the operator's own default
    model = gs.export_onnx(graph.fold_constants().cleanup())
    model.ir_version = IR_VERSION
    return model


def _greedy(model: Captioner) -> onnx.ModelProto:
    """The decoder from the image's vector on."""
    decoder = onnx.parser.parse_model(GREEDY)
    weights = {name: weight.detach().numpy() for name, weight in model.lstm.named_parameters()}
    begin, end = (VOCABULARY.ids[str(token)] for token in (VOCABULARY.begin, VOCABULARY.end))
    values: dict[str, Any] = {
        "embedding": model.embedding.weight.detach().numpy(),
        "input_weight": _gates(weights["weight_ih_l0"])[None],
        "state_weight": _gates(weights["weight_hh_l0"])[None],
        "bias": np.concatenate([_gates(weights["bias_ih_l0"]), _gates(weights["bias_hh_l0"])])[None],
        "word_weight": np.ascontiguousarray(model.word.weight.detach().numpy().T),
        "word_bias": model.word.bias.detach().numpy(),
        "axis": np.array([0]),
        "begin": np.array([begin]),
        "end": np.array([end]),
        "no": np.array([False]),
    }
    del decoder.graph.initializer[:]
    decoder.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    del decoder.graph.value_info[:]
    return decoder


def _gates(weight: np.ndarray) -> np.ndarray:
    """From PyTorch's order of the gates (input, forget, cell, output) to ONNX's (input, output, forget, cell)."""
    entry, forget, cell, output = np.split(weight, 4)
    return np.concatenate([entry, output, forget, cell])


def _run(model: onnx.ModelProto, **inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, inputs)[0]
    return result
