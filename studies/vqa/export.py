"""Writes an answerer as ONNX, with the record that `onnxplain vqa` reads."""

# PyTorch is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return"

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime
import torch
from onnxplain.engine.images.preprocess import Preprocess
from onnxplain.engine.language.vocabulary import Vocabulary
from onnxplain.graph_rewrites.model.metadata import add_metadata

from .network import Answerer

MODELS = Path(__file__).parents[2] / "exported_models"
OPSET = 17
TOLERANCE = 1e-5  # of the logits, relative to the largest
SAMPLES = 16


def export(model: Answerer, size: int, vocabulary: Vocabulary, answers: Sequence[str], path: Path) -> None:
    """Writes a trained answerer and compares the file with it.

    Raises:
        ValueError: the file's logits differ by more than TOLERANCE.
    """
    model.eval().to(memory_format=torch.contiguous_format)
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (SAMPLES, 3, size, size)).astype(np.float32)
    questions = rng.integers(1, len(vocabulary.vocabulary), (SAMPLES, SAMPLES))
    questions[np.triu_indices(SAMPLES, 1)] = 0  # from one word to as many as there are samples
    longest_first = torch.from_numpy(images[::-1].copy()), torch.from_numpy(questions[::-1].copy())

    buffer = io.BytesIO()
    torch.onnx.export(
        model,
        longest_first,
        buffer,
        dynamo=False,
        opset_version=OPSET,
        input_names=["image", "question"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "question": {0: "N", 1: "L"}, "logits": {0: "N"}},
    )
    exported = tidied(onnx.load_model_from_string(buffer.getvalue()))
    preprocess = Preprocess((size, size), scale=1 / 127.5, mean=(1.0,))
    add_metadata(exported, preprocessing=preprocess.to_json(), labels=list(answers), text=vocabulary.to_json())
    onnx.checker.check_model(exported, full_check=True)

    session = onnxruntime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": images, "question": questions})
    with torch.no_grad():
        expected = model(*longest_first).numpy()[::-1]
    difference = np.abs(logits - expected).max() / np.abs(expected).max()
    if difference > TOLERANCE:
        raise ValueError(f"{path}: differs from the trained network by {difference:.1e}")
    path.parent.mkdir(exist_ok=True)
    onnx.save(exported, path)


def tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model without the zeros that the exporter makes for the states before the first word."""
    graph = gs.import_onnx(model)
    for node in graph.nodes:
        if node.op == "LSTM":
            node.inputs = node.inputs[:5]  # the operator's own default is zero
    return gs.export_onnx(graph.fold_constants().cleanup())
