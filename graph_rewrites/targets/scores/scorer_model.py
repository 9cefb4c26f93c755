"""A score that is a small model of its own, joined onto the outputs of the model that is explained."""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs
from onnx import inliner, version_converter

from ...build.emitter import Emitter
from ...errors import OnnxplainError, UsageError, closest
from ...graph.operator_traits import key_of
from ...graph.tensors import Tensor, is_float
from ...model.model import Model, ModelSource, load


def append_scorer_model(model: Model, scorer: ModelSource) -> Tensor:
    """Appends a scoring model and returns its class scores, [N, classes].

    Its inputs are outputs of the model by name; a single input takes the model's single float output whatever it is
    called. It has one output, [N, classes] or [N].

    Raises:
        UsageError: an input that is no output of the model.
        OnnxplainError: a scoring model with another number of outputs, or with operators that are not standard.
    """
    loaded = inliner.inline_local_functions(load(scorer))
    name = str(scorer) if not isinstance(scorer, onnx.ModelProto) else loaded.graph.name or "the scoring model"
    opset = max((o.version for o in loaded.opset_import if o.domain in ("", "ai.onnx")), default=1)
    if opset != model.opset:
        try:
            loaded = version_converter.convert_version(loaded, model.opset)
        except Exception as error:  # the converter raises its own and RuntimeError; both mean the same here
            raise OnnxplainError(f"{name}: opset {opset} cannot be brought to {model.opset}; export it so") from error
    graph = gs.import_onnx(loaded)
    foreign = next((node for node in graph.nodes if node.domain not in (None, "", "ai.onnx")), None)
    if foreign is not None:
        raise OnnxplainError(
            f"{name}: operator {key_of(foreign)} is not standard ONNX; write the scoring model without it"
        )
    if len(graph.outputs) != 1:
        raise OnnxplainError(f"{name}: a scoring model has one output, not {len(graph.outputs)}")
    outputs = {tensor.name: tensor for tensor in model.graph.outputs}
    floats = [tensor for tensor in outputs.values() if is_float(tensor)]
    known: dict[str, Tensor] = {}
    for tensor in graph.inputs:
        if tensor.name in outputs:
            known[tensor.name] = outputs[tensor.name]
        elif len(graph.inputs) == len(floats) == 1:
            known[tensor.name] = floats[0]
        else:
            raise UsageError(
                f"{name}: its input {tensor.name!r} is no output of the model; {closest(tensor.name, outputs)}"
            )
    op = Emitter(model, "onnxplain/score")
    for node in graph.nodes:
        operands = [_operand(op, tensor, known) for tensor in node.inputs]
        results = op.emit(node.op, *operands, outputs=len(node.outputs), **node.attrs)
        known.update(zip([t.name for t in node.outputs], results if len(node.outputs) > 1 else [results], strict=True))
    result = known[graph.outputs[0].name]
    if result.shape is None or len(result.shape) not in (1, 2):
        raise OnnxplainError(f"{name}: its output has shape {result.shape}, not one score per class [N, classes]")
    return op.Unsqueeze(result, [1]) if len(result.shape) == 1 else result


def _operand(op: Emitter, tensor: Tensor, known: dict[str, Tensor]) -> Tensor:
    if isinstance(tensor, gs.Constant):
        return op.constant(tensor.values)
    return known[tensor.name] if tensor.name else None
