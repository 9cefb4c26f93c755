"""Exports the network of `same_weights` from PaddlePaddle, by paddle2onnx.

Run it from the root of the repository, with the packages of `requirements.txt`:

    python -m exported_models.paddle.export
"""

# PaddlePaddle is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return"

from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import paddle
import paddle2onnx
from paddle import nn

from ..same_weights.onnx_file import save
from ..same_weights.weights import CLASSES, EPSILON, FEATURES, LAYERS, SIZE, MaxPool, weights

FOLDER = Path(__file__).parent


def network() -> nn.Sequential:
    """The network in inference mode, [N, 3, 32, 32] to logits [N, 10]; sublayers have the names of the layers."""
    layers: OrderedDict[str, nn.Layer] = OrderedDict()
    for layer in LAYERS:
        begin, end = layer.padding
        if isinstance(layer, MaxPool):
            layers[layer.name] = nn.MaxPool2D(layer.kernel, layer.stride, padding=[begin, end, begin, end])
            continue
        layers[layer.name] = nn.Conv2D(
            layer.inputs,
            layer.outputs,
            layer.kernel,
            layer.stride,
            padding=[begin, end, begin, end],
            groups=layer.groups,
            bias_attr=False,
        )
        layers[f"{layer.name}_norm"] = nn.BatchNorm2D(layer.outputs, epsilon=EPSILON)
        layers[f"{layer.name}_relu6"] = nn.ReLU6()
    layers["average"] = nn.AdaptiveAvgPool2D(1)
    layers["flatten"] = nn.Flatten()
    layers["classifier"] = nn.Linear(FEATURES, CLASSES)
    result = nn.Sequential(*layers.items())
    result.eval()
    missing, unexpected = result.set_state_dict(_state())
    if missing or unexpected:
        raise ValueError(f"weights missing {missing}, not taken {unexpected}")
    return result


def _state() -> dict[str, paddle.Tensor]:
    """The weights by Paddle's names; a linear layer's are [features, classes]."""
    names = {"scale": "weight", "bias": "bias", "mean": "_mean", "variance": "_variance"}
    state = {}
    for name, values in weights().items():
        layer, what = name.split(".")
        if what == "kernel":
            state[f"{layer}.weight"] = paddle.to_tensor(values.T.copy() if layer == "classifier" else values)
        else:
            target = "classifier.bias" if layer == "classifier" else f"{layer}_norm.{names[what]}"
            state[target] = paddle.to_tensor(values)
    return state


def export(model: nn.Layer, path: Path, opset: int, optimize_tool: str = "polygraphy") -> None:
    """Save `model` as Paddle does and convert that; by default paddle2onnx has polygraphy fold constants."""
    image = paddle.static.InputSpec([None, 3, SIZE, SIZE], "float32", "image")
    with TemporaryDirectory() as folder:
        saved, written = f"{folder}/network", f"{folder}/{path.name}"
        paddle.jit.save(model, saved, [image])
        paddle2onnx.export(f"{saved}.json", f"{saved}.pdiparams", written, opset, optimize_tool=optimize_tool)
        save(onnx.load(written), path)


def main() -> None:
    """Write the files."""
    model = network()
    export(model, FOLDER / "paddle2onnx_opset11.onnx", 11)
    export(model, FOLDER / "paddle2onnx_opset17.onnx", 17)
    export(model, FOLDER / "paddle2onnx_opset17_unoptimised.onnx", 17, optimize_tool="None")


if __name__ == "__main__":
    main()
