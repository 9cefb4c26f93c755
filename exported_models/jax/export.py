"""Exports the network of `same_weights` from JAX, built of Flax's layers, by jax2onnx.

Run it from the root of the repository, with the packages of `requirements.txt`:

    python -m exported_models.jax.export
"""

# JAX is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return"

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax2onnx import to_onnx
from numpy.typing import NDArray

from ..same_weights.onnx_file import save
from ..same_weights.weights import CLASSES, EPSILON, FEATURES, LAYERS, SIZE, Conv, MaxPool, weights

FOLDER = Path(__file__).parent


class Convolution(nnx.Module):
    """Convolution, batch normalisation and ReLU6, with the weights of `weights()`."""

    def __init__(self, conv: Conv, values: dict[str, NDArray[np.float32]]) -> None:
        random = nnx.Rngs(0)  # asked for, though all that it draws is replaced
        self.conv = nnx.Conv(
            conv.inputs,
            conv.outputs,
            (conv.kernel, conv.kernel),
            strides=conv.stride,
            padding=(conv.padding, conv.padding),
            feature_group_count=conv.groups,
            use_bias=False,
            rngs=random,
        )
        self.norm = nnx.BatchNorm(conv.outputs, use_running_average=True, epsilon=EPSILON, rngs=random)
        self.conv.kernel[...] = values[f"{conv.name}.kernel"].transpose(2, 3, 1, 0)
        self.norm.scale[...] = values[f"{conv.name}.scale"]
        self.norm.bias[...] = values[f"{conv.name}.bias"]
        self.norm.mean[...] = values[f"{conv.name}.mean"]
        self.norm.var[...] = values[f"{conv.name}.variance"]

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map [N, H, W, inputs] to [N, H', W', outputs]."""
        return jax.nn.relu6(self.norm(self.conv(x)))


class Network(nnx.Module):
    """The network, [N, 32, 32, 3] to logits [N, 10]."""

    def __init__(self) -> None:
        values = weights()
        self.layers = nnx.List(
            _pooling(one) if isinstance(one, MaxPool) else Convolution(one, values) for one in LAYERS
        )
        self.classifier = nnx.Linear(FEATURES, CLASSES, rngs=nnx.Rngs(0))
        self.classifier.kernel[...] = values["classifier.kernel"].T
        self.classifier.bias[...] = values["classifier.bias"]

    def __call__(self, image: jax.Array) -> jax.Array:
        """Map an image [N, 32, 32, 3] to logits [N, 10]."""
        x = image
        for layer in self.layers:
            x = layer(x)
        return self.classifier(jnp.mean(x, axis=(1, 2)))


def _pooling(pool: MaxPool) -> Callable[[jax.Array], jax.Array]:
    """Maximum pooling; padded apart, as jax2onnx 0.17.1 drops the padding that `nnx.max_pool` is given in numbers."""
    window, strides, padding = (pool.kernel,) * 2, (pool.stride,) * 2, ((0, 0), pool.padding, pool.padding, (0, 0))

    def apply(x: jax.Array) -> jax.Array:
        return nnx.max_pool(jnp.pad(x, padding), window_shape=window, strides=strides)

    return apply


def main() -> None:
    """Write the files."""
    model, image = Network(), [("batch", SIZE, SIZE, 3)]
    names = {"input_names": ["image"], "output_names": ["logits"]}
    for opset, nchw in ((23, False), (21, False), (23, True)):
        path = FOLDER / f"jax2onnx_opset{opset}{'_nchw' if nchw else ''}.onnx"
        save(to_onnx(model, image, opset=opset, inputs_as_nchw=[0] if nchw else None, **names), path)


if __name__ == "__main__":
    main()
