"""Writing what an exporter made."""

from pathlib import Path

import onnx


def save(model: onnx.ModelProto, path: Path) -> None:
    """Check `model` and write it to `path`, without the notes on which line of which file each node comes from.

    Shapes are not checked: jax2onnx 0.17.1 leaves wrong ones, and the file shall be what the exporter made.
    """
    for entity in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.functions):
        del entity.metadata_props[:]
        entity.doc_string = ""
    onnx.checker.check_model(model)
    onnx.save(model, path)
    print(f"{path.name}: {path.stat().st_size} bytes")
