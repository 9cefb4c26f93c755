"""Exports the network of `same_weights` from Keras 3 on TensorFlow: by Keras itself, by tf2onnx, and by way of TFLite.

Run it from the root of the repository, with the packages of `requirements.txt`:

    python -m exported_models.keras.export
"""

# Keras, TensorFlow and tf2onnx are not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, import-untyped, misc, no-any-return, untyped-decorator"

from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx

from ..same_weights.onnx_file import save
from ..same_weights.weights import CLASSES, EPSILON, LAYERS, SIZE, Conv, MaxPool, weights

FOLDER = Path(__file__).parent


def network() -> keras.Sequential:
    """The network, [N, 32, 32, 3] to logits [N, 10]; layers have the names of `LAYERS`."""
    layers = [keras.Input((SIZE, SIZE, 3), name="image")]
    for layer in LAYERS:
        if layer.padding != (0, 0):
            layers.append(keras.layers.ZeroPadding2D((layer.padding, layer.padding), name=f"{layer.name}_pad"))
        if isinstance(layer, MaxPool):
            layers.append(keras.layers.MaxPooling2D(layer.kernel, layer.stride, name=layer.name))
            continue
        layers += [
            _convolution(layer),
            keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{layer.name}_norm"),
            keras.layers.ReLU(max_value=6, name=f"{layer.name}_relu6"),
        ]
    layers += [
        keras.layers.GlobalAveragePooling2D(name="average"),
        keras.layers.Dense(CLASSES, name="classifier"),
    ]
    model = keras.Sequential(layers, name="network")
    _fill(model)
    return model


def _convolution(conv: Conv) -> keras.layers.Layer:
    """The convolution, its padding left to the layer before."""
    if conv.groups == conv.inputs > 1:
        return keras.layers.DepthwiseConv2D(conv.kernel, conv.stride, use_bias=False, name=conv.name)
    return keras.layers.Conv2D(conv.outputs, conv.kernel, conv.stride, use_bias=False, name=conv.name)


def _fill(model: keras.Sequential) -> None:
    """Give the model its weights: kernels [height, width, inputs, outputs], of depthwise ones [..., inputs, 1]."""
    values = weights()
    for layer in (layer for layer in LAYERS if isinstance(layer, Conv)):
        order = (2, 3, 0, 1) if layer.groups > 1 else (2, 3, 1, 0)
        model.get_layer(layer.name).set_weights([values[f"{layer.name}.kernel"].transpose(order)])
        statistics = [values[f"{layer.name}.{what}"] for what in ("scale", "bias", "mean", "variance")]
        model.get_layer(f"{layer.name}_norm").set_weights(statistics)
    model.get_layer("classifier").set_weights([values["classifier.kernel"].T, values["classifier.bias"]])


def by_keras(model: keras.Model, path: Path) -> None:
    """`Model.export`, which converts by tf2onnx at the opset that Keras chooses."""
    model(np.zeros((1, SIZE, SIZE, 3), np.float32))  # builds what is exported
    with TemporaryDirectory() as folder:
        written = Path(folder) / path.name
        model.export(written, format="onnx", verbose=False)
        save(onnx.load(written), path)


def by_tf2onnx(model: keras.Model, path: Path, opset: int, nchw: bool = False) -> None:
    """`tf2onnx.convert.from_function`; with `nchw`, the option that makes the input [N, 3, 32, 32]."""
    signature = [tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, name="image")]

    @tf.function(input_signature=signature)
    def logits(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": model(image, training=False)}

    converted, _ = tf2onnx.convert.from_function(
        logits, signature, opset=opset, inputs_as_nchw=["image:0"] if nchw else None
    )
    save(converted, path)


def by_tflite(model: keras.Model, path: Path, opset: int) -> None:
    """A TFLite model, converted by `tf2onnx.convert.from_tflite`."""
    with TemporaryDirectory() as folder:
        written = Path(folder) / "network.tflite"
        written.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
        converted, _ = tf2onnx.convert.from_tflite(str(written), opset=opset)
    save(converted, path)


def main() -> None:
    """Write the files."""
    model = network()
    by_keras(model, FOLDER / "keras_opset15.onnx")
    by_tf2onnx(model, FOLDER / "tf2onnx_opset13.onnx", 13)
    by_tf2onnx(model, FOLDER / "tf2onnx_opset18.onnx", 18)
    by_tf2onnx(model, FOLDER / "tf2onnx_opset18_nchw.onnx", 18, nchw=True)
    by_tflite(model, FOLDER / "tflite_opset17.onnx", 17)


if __name__ == "__main__":
    main()
