"""A small residual network for scenes: bottlenecks with pre-activation, as the 200-layer networks of the same paper.

He et al. 2016, "Identity Mappings in Deep Residual Networks", figure 4 (e): in each block, normalisation and ReLU come
before the convolutions, and nothing follows the sum.
"""

# PyTorch is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return"

from __future__ import annotations

from torch import Tensor, nn

STAGES = ((16, 1), (48, 3), (96, 4))  # channels and blocks; the image's side is 1/2, 1/4 and 1/8 there


class Block(nn.Module):
    """[N, channels, H, W] to [N, features, H/stride, W/stride]: x, or its projection, plus a bottleneck of x."""

    def __init__(self, channels: int, features: int, stride: int) -> None:
        super().__init__()
        inner = features // 2
        self.before = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.branch = nn.Sequential(
            *_convolution(channels, inner, 1), *_convolution(inner, inner, 3, stride), nn.Conv2d(inner, features, 1)
        )
        same = channels == features and stride == 1
        self.projection = None if same else nn.Conv2d(channels, features, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        ready = self.before(x)
        return (x if self.projection is None else self.projection(ready)) + self.branch(ready)


class SceneResNet(nn.Module):
    """Images [N, 3, 96, 96] of values 0 to 255 to logits [N, classes]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 5, stride=2, padding=2)
        channels, blocks = 16, []
        for stage, (features, count) in enumerate(STAGES):
            for index in range(count):
                blocks.append(Block(channels, features, 2 if stage and not index else 1))
                channels = features
        self.blocks = nn.Sequential(*blocks)
        self.after = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.head = nn.Linear(channels, classes)

    def forward(self, image: Tensor) -> Tensor:
        """The logits."""
        maps = self.after(self.blocks(self.stem((image - 127.5) / 64)))
        return self.head(maps.mean(dim=(2, 3)))


def _convolution(channels: int, features: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, features, kernel, stride, kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(features), nn.ReLU()]
