"""Explained models of the embedded model, and files that are none, for the tests of both JavaScript examples."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnxplain.engine.embedded import MODEL
from onnxplain.graph_rewrites.model.metadata import add_metadata, read_metadata
from onnxplain.graph_rewrites.rewrite import rewrite

EXAMPLES = Path(__file__).parents[2] / "examples"


def packages_of(example: str) -> Path:
    """The example's folder of npm packages; skips where they are not installed."""
    folder = EXAMPLES / example / "node_modules"
    if not folder.is_dir():
        pytest.skip(f"the npm packages of examples/{example} are not installed; run npm install there")
    return folder


def fixed_batch() -> onnx.ModelProto:
    """Of a model that takes one image at a time, so that the explained one takes one class at a time."""
    model = onnx.load(MODEL)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return rewrite(model)


def behind_softmax() -> onnx.ModelProto:
    """Of a model whose output are probabilities, and whose file records no preprocessing."""
    model = onnx.load(MODEL)
    model.graph.node.append(onnx.helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
    model.graph.output[0].name = "probabilities"
    del model.metadata_props[:]
    return rewrite(model)


LAYERS = ("/blocks.10/Add_output_0", "/head/relu6/Clip_output_0")

EXPLAINED = {
    "open": lambda: rewrite(MODEL),
    "fixed batch": fixed_batch,
    "signed": lambda: rewrite(MODEL, options={"relu": False}),
    "two layers": lambda: rewrite(MODEL, layers=LAYERS),
    "behind softmax": behind_softmax,
    "all layers": lambda: rewrite(MODEL, method="full-grad"),
    "expression": lambda: rewrite(MODEL, score="logits[:, :500]", outputs=("score", "cam", "heatmap", "logits")),
}


def explained_file(kind: str, folder: Path) -> Path:
    """One of `EXPLAINED`, written to the folder."""
    path = folder / f"{kind.replace(' ', '-')}.onnx"
    onnx.save(EXPLAINED[kind](), path)
    return path


def write_wrong_files(folder: Path) -> dict[str, str]:
    """Writes files that cannot be explained to the folder; their names, and what is to be said of each."""
    plain = onnx.load(MODEL)
    names = onnx.load_from_string(rewrite(MODEL).SerializeToString())
    add_metadata(names, names={"target": "target", "score": "score"})
    channels = rewrite(MODEL)
    add_metadata(channels, preprocessing={**read_metadata(channels)["preprocessing"], "channels": "GRAY"})  # type: ignore[index]
    damaged = rewrite(MODEL)
    damaged.metadata_props[0].value = damaged.metadata_props[0].value[:100]
    models = {
        "plain.onnx": (plain, "not explained"),
        "pixels.onnx": (rewrite(MODEL, method="gradient"), "single pixels"),
        "scores.onnx": (names, "has no output cam"),
        "grey.onnx": (channels, "3 channels, its preprocessing makes 1"),
        "damaged.onnx": (damaged, "is no JSON"),
    }
    for name, (model, _) in models.items():
        onnx.save(model, folder / name)
    whole = (folder / "pixels.onnx").read_bytes()
    texts = {
        "cut.onnx": (whole[: len(whole) // 2], "no ONNX model"),
        "empty.onnx": (b"", "no ONNX model"),
        "notes.onnx": (b"These are notes and no model.\n", "no ONNX model"),
    }
    for name, (data, _) in texts.items():
        (folder / name).write_bytes(data)
    return {name: message for name, (_, message) in [*models.items(), *texts.items()]}
