"""Explained models as models of an NVIDIA Triton model repository.

Sources: Triton's `model_repository.md` (folders, versions), `model_configuration.md` (data types, dims, batching) and
`extension_classification.md` (labels); ValidateOutputs in `onnxruntime.cc` of its backend for ONNX Runtime, which asks
for the very dims that ONNX Runtime infers.
"""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import onnx
from google.protobuf.text_encoding import CEscape

from ...graph_rewrites.errors import OnnxplainError
from ...graph_rewrites.model.metadata import read_metadata
from ...graph_rewrites.model.model import load
from ...graph_rewrites.model.model_file import MAX_PROTO_BYTES, is_large, save
from ..images.files import PathLike
from .runner import BATCH
from .session import Session

MODEL, CONFIG, LABELS = "model.onnx", "config.pbtxt", "labels.txt"
# From ONNX Runtime's names to Triton's, of the types that the backend serves; bfloat16 is not among them.
DATA_TYPES = {
    "tensor(bool)": "BOOL",
    **{f"tensor({sign}int{bits})": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "STRING",
}


class Served(NamedTuple):
    """What Triton is told of a model: the texts of its configuration and of its labels, empty where there are none."""

    config: str
    labels: str


def write_triton_model(model: onnx.ModelProto, repository: PathLike, name: str) -> Path:
    """Writes an explained model into a Triton model repository, whole or not at all.

    A new model gets `<repository>/<name>/config.pbtxt` and its version 1, `1/model.onnx`. Of one that is there already
    the next version is written; its configuration, which may be tuned by now, stays as it is.

    Args:
        model: the explained model.
        repository: the folder that Triton serves; made where it is missing.
        name: the model's, and its folder's.

    Returns:
        The model file. Past protobuf's 2 GiB it lies with its weights in a folder `model.onnx`, as Triton asks for.

    Raises:
        OnnxplainError: Triton cannot serve the model, what is there under its name is something else or has other
            inputs, outputs or labels, or the folder cannot be written.
    """
    served = describe(model, name)
    folder = Path(repository) / name
    if folder.parent.exists() and not folder.parent.is_dir():
        raise OnnxplainError(f"{repository}: is a file, where a Triton model repository is a folder; choose a folder")
    try:
        version = _next_version(folder, served) if folder.exists() else 1
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{name}.", dir=folder.parent) as staging:
            staged = Path(staging) / name
            file = _write_version(model, staged / str(version))
            if version > 1:
                (staged / str(version)).replace(folder / str(version))
            else:
                (staged / CONFIG).write_text(served.config, encoding="utf-8")
                if served.labels:
                    (staged / LABELS).write_text(served.labels, encoding="utf-8")
                staged.replace(folder)
        return folder / file.relative_to(staged)
    except OSError as error:
        raise OnnxplainError(
            f"{folder}: cannot be written ({error.strerror or error}); choose a writable folder"
        ) from error


def describe(model: onnx.ModelProto, name: str) -> Served:
    """What Triton is told of an explained model.

    Triton batches along the first axis. Where that is one open axis, the same of every input and output,
    `max_batch_size` is 8 and Triton runs requests of equal shapes (so of equally many targets) together; elsewhere it
    is 0 and `dims` hold the first axis too. The output that ranks the classes names the file of their labels.

    Raises:
        OnnxplainError: ONNX Runtime does not load the model, or a tensor has no type or rank that Triton can serve.
    """
    session = Session(model, ["cpu"])
    tensors = [*session.input_types, *session.output_types]
    _check(model, name, tensors)
    first = {tensor.shape[0] if tensor.shape else None for tensor in tensors}
    is_batched = len(first) == 1 and isinstance(first.pop(), str)
    batching = [f"max_batch_size: {BATCH}", "dynamic_batching { }"] if is_batched else ["max_batch_size: 0"]
    labels = [" ".join(label.split()) for label in (read_metadata(model) or {}).get("labels", ())]
    ranking = _ranking(model, session, len(labels))
    config = [
        f"name: {_quoted(name)}",
        'backend: "onnxruntime"',
        *batching,
        *_group("input", session.input_types, is_batched),
        *_group("output", session.output_types, is_batched, ranking),
    ]
    return Served(_text(config), _text(labels) if ranking else "")


def _check(model: onnx.ModelProto, name: str, tensors: list[Any]) -> None:
    """Raises OnnxplainError for a tensor that Triton cannot serve."""
    declared = {value.name: value.type.tensor_type for value in (*model.graph.input, *model.graph.output)}
    for tensor in tensors:
        if tensor.type not in DATA_TYPES:
            raise OnnxplainError(
                f"{name}: {tensor.name!r} is a {tensor.type}, which Triton's ONNX Runtime backend does not serve; "
                "cast it in the model, or leave it out"
            )
        if not tensor.shape and not declared[tensor.name].HasField("shape"):
            raise OnnxplainError(f"{name}: {tensor.name!r} has no known number of axes; declare its shape in the model")


def _ranking(model: onnx.ModelProto, session: Session, classes: int) -> str | None:
    """The output that scores so many classes, which is what labels are names of, if there is one."""
    score = (read_metadata(model) or {}).get("score", {"expression": ""})
    if not classes or "expression" in score:
        return None
    names = [tensor.name for tensor in session.output_types if tensor.shape[-1:] == [classes]]
    return score["output"] if score["output"] in names else None


def _group(kind: str, tensors: list[Any], is_batched: bool, ranking: str | None = None) -> list[str]:
    """The lines of all inputs, or of all outputs."""
    entries = []
    for tensor in tensors:
        sizes = [size if isinstance(size, int) else -1 for size in tensor.shape[is_batched:]]
        fields = [
            f"name: {_quoted(tensor.name)}",
            f"data_type: TYPE_{DATA_TYPES[tensor.type]}",
            f"dims: [ {', '.join(map(str, sizes or [1]))} ]",
        ]
        if is_batched and not sizes:  # Triton knows no tensor without axes beside the batch
            fields.append("reshape: { shape: [ ] }")
        if tensor.name == ranking:
            fields.append(f'label_filename: "{LABELS}"')
        entries.append("\n".join(["  {", *(f"    {field}" for field in fields), "  }"]))
    return [f"{kind} [", ",\n".join(entries), "]"]


def _quoted(name: str) -> str:
    return f'"{CEscape(name, as_utf8=True)}"'


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _write_version(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / MODEL
    if is_large(model, MAX_PROTO_BYTES):
        path = path / MODEL
    path.parent.mkdir(parents=True)
    save(model, path)
    return path


def _next_version(folder: Path, served: Served) -> int:
    """The number of the next version of the model in a folder.

    Raises:
        OnnxplainError: its latest version is not asked, or does not answer, as a model that is `served` so.
    """
    another = "choose another name (-o NAME.onnx) or repository"
    # Triton ignores folders of other names.
    versions = [int(path.name) for path in folder.glob("*") if re.fullmatch("[1-9][0-9]*", path.name)]
    latest = folder / str(max(versions, default=0)) / MODEL
    latest = latest / MODEL if latest.is_dir() else latest
    if not latest.is_file():
        raise OnnxplainError(f"{folder}: what is there is no Triton model of an ONNX file; {another}")
    there = describe(load(latest), folder.name)
    for what, one, other in zip(("inputs or outputs", "class names"), served, there, strict=True):
        if one != other:
            raise OnnxplainError(f"{latest}: the model there has other {what} than the one to write; {another}")
    return 1 + max(versions)
