from __future__ import annotations

from onnxplain.graph_rewrites.model.peak_memory import peak_bytes

from ..networks import Net, small_cnn


def test_the_peak_by_hand() -> None:
    """Of image 1x1x4x4: conv 8 channels 512 B, relu 512 B, pooled 32 B. At relu both big tensors are alive: 1024 B."""
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 1, 4, 4]), 1, 8))
    net.output(net.add("Flatten", net.add("GlobalAveragePool", x)), ["N", 8])
    assert peak_bytes(net.model(), {"image": [1, 1, 4, 4]}) == 1024
    assert peak_bytes(net.model(), {"image": [3, 1, 4, 4]}) == 3 * 1024


def test_what_is_kept_for_later_counts() -> None:
    """A residual branch: the stem (64 floats) stays alive beside both tensors of the branch."""
    net = Net()
    stem = net.add("Relu", net.input("image", ["N", 1, 8, 8]))
    branch = net.add("Neg", net.add("Exp", stem))
    net.output(net.add("Add", branch, stem), ["N", 1, 8, 8])
    assert peak_bytes(net.model(), {"image": [1, 1, 8, 8]}) == 3 * 64 * 4


def test_open_sizes_are_those_given() -> None:
    model = small_cnn(size=("H", "W"))
    small, large = (peak_bytes(model, {"image": [1, 3, side, side]}) for side in (8, 16))
    assert large == 4 * small
    assert model == small_cnn(size=("H", "W"))
