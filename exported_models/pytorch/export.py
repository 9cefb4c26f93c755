"""Exports the network of `same_weights` from PyTorch, by both of its exporters at three opsets each.

Run it from the root of the repository, with the packages of `requirements.txt`:

    python -m exported_models.pytorch.export
"""

# PyTorch is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return"

from collections import OrderedDict
from pathlib import Path

import onnx
import torch
from torch import nn

from ..same_weights.onnx_file import save
from ..same_weights.weights import CLASSES, EPSILON, FEATURES, LAYERS, SIZE, MaxPool, weights

FOLDER = Path(__file__).parent
TORCHSCRIPT_OPSETS = (11, 17, 20)  # 20 is its last
DYNAMO_OPSETS = (18, 20, 23)  # 18 is its own; the others it converts to


def network() -> nn.Sequential:
    """The network in inference mode, [N, 3, 32, 32] to logits [N, 10]; modules have the names of the layers."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for layer in LAYERS:
        begin, end = layer.padding
        if begin != end:  # PyTorch's layers pad both sides alike
            modules[f"{layer.name}_pad"] = nn.ZeroPad2d((begin, end, begin, end))
        padding = begin if begin == end else 0
        if isinstance(layer, MaxPool):
            modules[layer.name] = nn.MaxPool2d(layer.kernel, layer.stride, padding)
            continue
        modules[layer.name] = nn.Conv2d(
            layer.inputs, layer.outputs, layer.kernel, layer.stride, padding, groups=layer.groups, bias=False
        )
        modules[f"{layer.name}_norm"] = nn.BatchNorm2d(layer.outputs, EPSILON)
        modules[f"{layer.name}_relu6"] = nn.ReLU6()
    modules["average"] = nn.AdaptiveAvgPool2d(1)
    modules["flatten"] = nn.Flatten()
    modules["classifier"] = nn.Linear(FEATURES, CLASSES)
    result = nn.Sequential(modules).eval()
    result.load_state_dict(_state())
    return result


def _state() -> dict[str, torch.Tensor]:
    """The weights by PyTorch's names."""
    names = {"scale": "weight", "bias": "bias", "mean": "running_mean", "variance": "running_var"}
    state = {}
    for name, values in weights().items():
        layer, what = name.split(".")
        if what == "kernel":
            target = f"{layer}.weight"
        else:
            target = "classifier.bias" if layer == "classifier" else f"{layer}_norm.{names[what]}"
        state[target] = torch.tensor(values)
    batches = {f"{name.split('.')[0]}_norm.num_batches_tracked" for name in weights() if name.endswith(".scale")}
    return state | dict.fromkeys(batches, torch.tensor(0))


def main() -> None:
    """Write the files."""
    model, image = network(), torch.zeros(2, 3, SIZE, SIZE)
    names = {"input_names": ["image"], "output_names": ["logits"]}
    for opset in TORCHSCRIPT_OPSETS:
        path = FOLDER / f"torchscript_opset{opset}.onnx"
        axes = {"image": {0: "batch"}, "logits": {0: "batch"}}
        torch.onnx.export(model, (image,), path, dynamo=False, opset_version=opset, dynamic_axes=axes, **names)
        save(onnx.load(path), path)
    for opset in DYNAMO_OPSETS:
        path = FOLDER / f"dynamo_opset{opset}.onnx"
        shapes = ({0: torch.export.Dim("batch")},)
        program = torch.onnx.export(
            model, (image,), dynamo=True, opset_version=opset, dynamic_shapes=shapes, verbose=False, **names
        )
        save(program.model_proto, path)


if __name__ == "__main__":
    main()
