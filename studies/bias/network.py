"""A small plain network for marked scenes."""

# PyTorch is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return"

from __future__ import annotations

from torch import Tensor, nn


class PlainNetwork(nn.Module):
    """Images [N, 3, 96, 96] of values 0 to 255 to logits [N, classes].

    The last maps have a quarter of the image's side, and each of their values sees 28 pixels of it: somewhat more than
    an object, so that heat stays near what it is about. Kernels of even size with stride 2 keep the maps in line with
    the image.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            *_convolution(3, 16, 6, stride=2, padding=2),
            *_convolution(16, 32, 4, stride=2, padding=1),
            *_convolution(32, 32, 3),
            *_convolution(32, 48, 3),
            *_convolution(48, 64, 1, padding=0),
        )
        self.head = nn.Linear(64, classes)

    def forward(self, image: Tensor) -> Tensor:
        """The logits."""
        return self.head(self.maps((image - 127.5) / 64).mean(dim=(2, 3)))


def _convolution(channels: int, features: int, kernel: int, stride: int = 1, padding: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, features, kernel, stride, padding, bias=False)
    return [convolution, nn.BatchNorm2d(features), nn.ReLU()]
