"""Small seeded torch models, one a shape of architecture, exported to ONNX.

Each is a stem, the explained block and a head, so that torch's module and ONNX's tensor of the explained layer are
known by the name `explained`. That layer lies in the middle: there the gradient differs from position to position.
"""

from __future__ import annotations

import copy
import io
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import onnx
import torch
from torch import Tensor, nn

SIZE, CLASSES, PATCH = 32, 5, 8


@dataclass(frozen=True)
class Subject:
    """A model on both sides of the comparison.

    Attributes:
        name: the architecture's shape.
        model: in torch, float64, in inference mode.
        proto: the same in ONNX, float32; its weights are the float64 model's exactly.
        layer: the tensor of `proto` that holds the output of `model.explained`.
        image: float64 [1, 3, SIZE, SIZE].
        target: the explained class.
    """

    name: str
    model: nn.Sequential
    proto: onnx.ModelProto
    layer: str
    image: Tensor
    target: int

    def fresh(self) -> nn.Sequential:
        """A copy of the torch model, for peers that change the model they explain."""
        return copy.deepcopy(self.model)

    @property
    def values(self) -> Tensor:
        """What the explained layer gives for the image: feature maps, or tokens."""
        return self.model.explained(self.model.stem(self.image)).detach()

    @property
    def maps(self) -> Callable[[Tensor], Tensor] | None:
        """Tokens to feature maps, without the class token; None where the layer holds feature maps."""
        return patch_maps if isinstance(self.model.explained, Block) else None


class Residual(nn.Module):
    """ReLU(branch(x) + shortcut(x)), as in ResNet's basic block."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *(conv(channels, out, stride, bias=False), nn.BatchNorm2d(out), nn.ReLU()),
            *(conv(out, out, bias=False), nn.BatchNorm2d(out)),
        )
        projected = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.shortcut = projected if stride > 1 else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.branch(x) + self.shortcut(x))


class SqueezeExcite(nn.Module):
    """x times one gate in [0, 1] a channel, made of the channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeeze, excite = nn.Conv2d(channels, channels // 2, 1), nn.Conv2d(channels // 2, channels, 1)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), squeeze, nn.ReLU(), excite, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class Tokens(nn.Module):
    """Patches as tokens behind a class token, with positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, PATCH, PATCH)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, 1 + (SIZE // PATCH) ** 2, width))

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        return torch.cat([self.class_token.expand(x.shape[0], -1, -1), patches], 1) + self.positions


class Block(nn.Module):
    """A transformer's block, normalisation first."""

    def __init__(self, width: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.before_attention(x))
        return x + self.mlp(self.before_mlp(x))

    def attention(self, x: Tensor) -> Tensor:
        samples, tokens, width = x.shape
        qkv = self.qkv(x).reshape(samples, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(-1, -2) * key.shape[-1] ** -0.5).softmax(-1)
        return self.out((weights @ value).transpose(1, 2).reshape(samples, tokens, width))


class ClassToken(nn.Module):
    """The token that the class is read from."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


def conv(channels: int, out: int, stride: int = 1, *, groups: int = 1, bias: bool = True) -> nn.Conv2d:
    """A 3 x 3 convolution that keeps the size."""
    return nn.Conv2d(channels, out, 3, stride, 1, groups=groups, bias=bias)


def pooled(channels: int) -> list[nn.Module]:
    """A head of global average pooling and a linear layer."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES)]


def plain() -> list[list[nn.Module]]:
    """VGG's shape, with overlapping maximum pooling."""
    stem = [conv(3, 8), nn.ReLU(), nn.MaxPool2d(3, 2, 1), conv(8, 12)]
    head = [nn.MaxPool2d(3, 2), conv(12, 12), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 49, CLASSES)]
    return [stem, [nn.ReLU()], head]


def residual() -> list[list[nn.Module]]:
    """ResNet's shape; batch normalisation stays a node of the exported graph."""
    stem = [conv(3, 8, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU(), Residual(8, 8)]
    return [stem, [Residual(8, 12, 2)], [Residual(12, 12), Residual(12, 16, 2), *pooled(16)]]


def depthwise() -> list[list[nn.Module]]:
    """MobileNet's shape, rectified by ReLU6."""
    stem = [conv(3, 8, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU6()]
    block = [conv(8, 8, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6()]
    project = [nn.Conv2d(8, 12, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU6()]
    head = [conv(12, 12, 2, groups=12, bias=False), nn.BatchNorm2d(12), nn.ReLU6(), nn.Conv2d(12, 16, 1), nn.ReLU6()]
    return [[*stem, *block, *project[:2]], project[2:], [*head, *pooled(16)]]


def squeeze_excite() -> list[list[nn.Module]]:
    """SENet's shape: gated channels before and behind the explained layer."""
    stem = [conv(3, 8, 2), nn.ReLU(), SqueezeExcite(8), conv(8, 12)]
    return [stem, [nn.ReLU()], [SqueezeExcite(12), nn.AvgPool2d(2), conv(12, 16), nn.ReLU(), *pooled(16)]]


def transformer() -> list[list[nn.Module]]:
    """ViT's shape, the class read from the class token."""
    return [[Tokens(16)], [Block(16)], [Block(16), nn.LayerNorm(16), ClassToken(), nn.Linear(16, CLASSES)]]


SHAPES = {
    "plain": plain,
    "residual": residual,
    "depthwise": depthwise,
    "squeeze-excite": squeeze_excite,
    "ViT": transformer,
}


def subject(name: str) -> Subject:
    """The model of a shape, exported; the same at every call."""
    stem, explained, head = SHAPES[name]()
    parts = {"stem": nn.Sequential(*stem), "explained": nn.Sequential(*explained), "head": nn.Sequential(*head)}
    if len(explained) == 1:
        parts["explained"] = explained[0]
    model = nn.Sequential(OrderedDict(parts)).eval()
    generator = torch.Generator().manual_seed(0)
    _fill(model, generator)
    image = torch.randn(1, 3, SIZE, SIZE, generator=generator)
    proto = _exported(model, image)
    layer = next(node.output[0] for node in reversed(proto.graph.node) if node.name.startswith("/explained/"))
    model, image = model.double(), image.double()
    return Subject(name, model, proto, layer, image, int(model(image).argmax()))


def patch_maps(tokens: Tensor) -> Tensor:
    """[N, 1 + h * w, C] to [N, C, h, w]."""
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (SIZE // PATCH, SIZE // PATCH))


def _fill(model: nn.Module, generator: torch.Generator) -> None:
    """Random weights that keep the signal's size; scales of batch normalisation of either sign."""

    def draw(tensor: Tensor, mean: float, deviation: float) -> None:
        tensor.data.normal_(mean, deviation, generator=generator)

    for parameter in model.parameters():
        fan_in = parameter[0].numel()
        draw(parameter, 0.0, (2 / fan_in) ** 0.5 if parameter.ndim in (2, 4) else 0.3)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            draw(module.weight, 1.0, 0.3)
        elif isinstance(module, nn.BatchNorm2d):
            draw(module.weight, 1.0, 1.0)
            draw(module.running_mean, 0.0, 0.3)
            module.running_var.uniform_(0.2, 1.0, generator=generator)


def _exported(model: nn.Module, image: Tensor) -> onnx.ModelProto:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this exporter is the old one; it names nodes by module
        torch.onnx.export(
            *(model, (image,), file),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=17,
            training=torch.onnx.TrainingMode.PRESERVE,  # else batch normalisation is folded into convolutions
            dynamo=False,
        )
    return onnx.load_from_string(file.getvalue())
