"""The network: a CNN's vector times an LSTM's vector, then an MLP over the answers.

"Deeper LSTM Q + norm I" of S. Antol et al., "VQA: Visual Question Answering", ICCV 2015, section 4 (code: J. Lu et al.,
2015), narrower. The CNNs have as many convolutions and poolings as AlexNet (A. Krizhevsky et al., 2012) and as VGG-16
and VGG-19 (K. Simonyan and A. Zisserman, 2015, table 1, columns D and E).
"""

# PyTorch is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return"

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

WIDTH = 96  # of the two vectors that are multiplied
HIDDEN = 32  # of each layer of the LSTM, and of the words' embedding
ANSWERING = 128  # of the MLP's hidden layer


def alexnet() -> nn.Sequential:
    """Five convolutions and three poolings; the first convolution strides by 2, where the original has 4."""
    return nn.Sequential(
        OrderedDict(
            conv1=_convolution(3, 16, 11, stride=2),
            pool1=nn.MaxPool2d(3, 2),
            conv2=_convolution(16, 32, 5),
            pool2=nn.MaxPool2d(3, 2),
            conv3=_convolution(32, 48),
            conv4=_convolution(48, 48),
            conv5=_convolution(48, 48),
            pool5=nn.MaxPool2d(3, 2),
        )
    )


def vgg(*depths: int) -> nn.Sequential:
    """Five blocks of so many 3x3 convolutions and a pooling each; the fourth pooling keeps the size."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for block, (depth, features) in enumerate(zip(depths, (8, 16, 24, 32, 48), strict=True), 1):
        for index in range(depth):
            layers[f"conv{block}_{index + 1}"] = _convolution(channels, features)
            channels = features
        layers[f"pool{block}"] = nn.MaxPool2d(3, 1, 1) if block == 4 else nn.MaxPool2d(2)
    return nn.Sequential(layers)


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {
    "alexnet": alexnet,
    "vgg16": lambda: vgg(2, 2, 3, 3, 3),
    "vgg19": lambda: vgg(2, 2, 4, 4, 4),
}


class Answerer(nn.Module):
    """Images [N, 3, size, size] and questions, word ids [N, L] that 0 fills up, to logits [N, answers].

    The original normalises the image's vector and puts it through tanh. Here batch normalisation keeps its scale, and
    without tanh far fewer steps are needed; the model cards give figures.

    PyTorch wants the longest question of a batch first; the exported graph takes them in any order.
    """

    def __init__(self, cnn: nn.Sequential, size: int, words: int, answers: int) -> None:
        super().__init__()
        self.cnn = cnn
        features = cnn.eval()(torch.zeros(1, 3, size, size)).numel()
        self.image = nn.Sequential(nn.Flatten(), nn.Linear(features, WIDTH))
        self.embedding = nn.Embedding(words, HIDDEN, padding_idx=0)
        self.lstm = nn.LSTM(HIDDEN, HIDDEN, num_layers=2, batch_first=True)
        self.question = nn.Sequential(nn.Linear(4 * HIDDEN, WIDTH), nn.Tanh())
        self.answer = nn.Sequential(nn.Linear(WIDTH, ANSWERING), nn.ReLU(), nn.Linear(ANSWERING, answers))
        self._spread_questions()

    def _spread_questions(self) -> None:
        """Larger weights to begin with: with PyTorch's own, all questions give nearly the same vector for long."""
        for name, weight in self.lstm.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(weight, gain=2)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(weight)
        nn.init.xavier_uniform_(self.question[0].weight, nn.init.calculate_gain("tanh"))

    def look(self, image: Tensor) -> Tensor:
        """Images to vectors [N, WIDTH]."""
        return self.image(self.cnn(image))

    def read(self, question: Tensor) -> Tensor:
        """Questions to vectors [N, WIDTH], from the last hidden and cell states of both layers."""
        lengths = (question != 0).sum(dim=1)
        _, states = self.lstm(pack_padded_sequence(self.embedding(question), lengths, batch_first=True))
        return self.question(torch.cat(states).transpose(0, 1).flatten(1))

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """Images and questions to logits [N, answers]."""
        return self.answer(self.look(image) * self.read(question))


def _convolution(channels: int, features: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """With batch normalisation, which the originals lack; the export folds it into the weights."""
    convolution = nn.Conv2d(channels, features, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=convolution, norm=nn.BatchNorm2d(features), relu=nn.ReLU()))
