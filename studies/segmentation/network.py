"""A small classifier of scenes, and a network with the same convolutions and two more that segments them.

Convolutions are dilated in the place of further strides (Chen et al. 2015, "Semantic Image Segmentation with Deep
Convolutional Nets and Fully Connected CRFs", as in Kolesnikov and Lampert 2016), so that a cell of the maps stays small
beside an object.
"""

# PyTorch is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return"

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from .data import STRIDE

WIDTH = 32
NEAR = (1, 1, 1, 1)  # dilations; a cell then sees 29 pixels across, where an object is 11 to 31 wide
FAR = (2, 4)  # and 65, so that it sees the object whole from its edge


class Trunk(nn.Module):
    """Images [N, 3, 96, 96] of values 0 to 255 to features [N, 32, 32, 32]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, WIDTH, 5, STRIDE, padding=1, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            *_convolutions(NEAR),
        )

    def forward(self, image: Tensor) -> Tensor:
        """The features."""
        return self.layers((image - 127.5) / 64)


class Classifier(nn.Module):
    """Images to logits [N, classes] before a sigmoid: whether a scene shows each class."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, image: Tensor) -> Tensor:
        """The logits."""
        return self.head(self.trunk(image).mean(dim=(2, 3)))


class Segmenter(nn.Module):
    """Images to logits [N, 1 + classes, 32, 32] before a softmax: the background, and each class."""

    def __init__(self, classes: int, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.layers = nn.Sequential(*_convolutions(FAR), nn.Conv2d(WIDTH, 1 + classes, 1))

    def forward(self, image: Tensor) -> Tensor:
        """The logits."""
        return self.layers(self.trunk(image))


def _convolutions(dilations: Iterable[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for dilation in dilations:
        convolution = nn.Conv2d(WIDTH, WIDTH, 3, padding=dilation, dilation=dilation, bias=False)
        layers += [convolution, nn.BatchNorm2d(WIDTH), nn.ReLU()]
    return layers
