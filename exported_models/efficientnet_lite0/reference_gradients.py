"""Records `reference_gradients.npz`: PyTorch's float64 gradients for the photo, to test other implementations against.

Run it from the root of the repository, after the export, with the packages of `requirements.txt`:

    python -m exported_models.efficientnet_lite0.reference_gradients

The network has exactly the float32 weights of `efficientnet_lite0.onnx`, cast to float64, so that its gradients differ
from those of the file by the arithmetic only. README.md lists the arrays.
"""

# PyTorch and the packages around it are not installed where the project is type-checked, and some carry no types.
# mypy: disable-error-code="import-not-found, import-untyped, misc, no-any-return"

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from .export import FOLDER, MODEL_PATH, PHOTO_PATH, EfficientNetLite0, packaged_network, preprocess

ARCHIVE_PATH = FOLDER / "reference_gradients.npz"
OTHER_CLASS = 243  # bull mastiff: a class that is not on the photo
TOLERANCE = 1e-5  # largest accepted relative change of a gradient through the folding of batch normalisation


class GuidedReLU6(torch.autograd.Function):
    """ReLU6 with the backward rule of guided backpropagation: positive gradients through units strictly in (0, 6).

    Springenberg et al., "Striving for Simplicity: The All Convolutional Net", 2015, figure 1.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Clip to [0, 6]."""
        ctx.save_for_backward(x)
        return x.clamp(0, 6)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Keep what is positive and arrives at a unit on the slope."""
        (x,) = ctx.saved_tensors
        (grad,) = grads
        return grad * (grad > 0) * (x > 0) * (x < 6)


class DeconvnetReLU6(torch.autograd.Function):
    """ReLU6 with the backward rule of the deconvnet: positive gradients, whatever the unit did in the forward pass.

    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014, section 2.1.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Clip to [0, 6]."""
        return x.clamp(0, 6)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Keep what is positive."""
        (grad,) = grads
        return grad * (grad > 0)


class Applied(nn.Module):
    """A module that applies a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Return `function(x)`."""
        return self.function(x)


def exported_network(path: Path, relu6: Callable[[Tensor], Tensor] = nn.functional.relu6) -> EfficientNetLite0:
    """Return the network in float64 with the weights of the ONNX file at `path` and `relu6` in place of each ReLU6."""
    network = EfficientNetLite0(packaged_network())
    initializers = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    network.load_state_dict({name: torch.tensor(initializers[name]) for name in network.state_dict()})
    for module in list(network.modules()):
        if hasattr(module, "relu6"):
            module.relu6 = Applied(relu6)
    return network.double().eval()


def layer_gradients(network: EfficientNetLite0, image: Tensor, classes: list[int]) -> dict[str, NDArray[np.float64]]:
    """Return the logits, the last spatial activation, and for each class its gradient and Grad-CAM map.

    Grad-CAM: Selvaraju et al., 2017, equations 1 and 2; alpha is the mean of the gradient over the spatial axes.
    """
    activation = network.features(image).detach().requires_grad_()
    logits = network.logits(activation)[0]
    gradients = [torch.autograd.grad(logits[k], activation, retain_graph=True)[0][0] for k in classes]
    alphas = [gradient.mean(dim=(1, 2), keepdim=True) for gradient in gradients]
    return {
        "logits": logits.detach().numpy(),
        "activation": activation[0].detach().numpy(),
        "gradient": torch.stack(gradients).numpy(),
        "grad_cam": torch.stack([(alpha * activation[0]).sum(dim=0).relu() for alpha in alphas]).detach().numpy(),
    }


def input_gradient(network: nn.Module, image: Tensor, target: int) -> NDArray[np.float64]:
    """Return the gradient [3, 224, 224] of the logit of class `target` with respect to the image."""
    image = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(image)[0, target], image)
    return gradient[0].numpy()


def main() -> None:
    """Record the archive."""
    image = preprocess(PHOTO_PATH)
    x = torch.from_numpy(image).double()
    network = exported_network(MODEL_PATH)
    with torch.no_grad():
        top, second = network(x)[0].topk(2).indices.tolist()
    classes = [top, second, OTHER_CLASS]
    arrays: dict[str, NDArray[Any]] = {"image": image, "classes": np.array(classes, np.int64)}
    arrays |= layer_gradients(network, x, classes)

    networks = {
        "input_gradient": network,
        "guided_backprop": exported_network(MODEL_PATH, GuidedReLU6.apply),
        "deconvnet": exported_network(MODEL_PATH, DeconvnetReLU6.apply),
    }
    for name, variant in networks.items():
        gradient = input_gradient(variant, x, top)
        arrays[name] = gradient.astype(np.float32)
        arrays[f"{name}_norm"] = np.array(np.linalg.norm(gradient))

    unfolded = input_gradient(packaged_network().double(), x, top)
    folding = float(np.linalg.norm(unfolded - arrays["input_gradient"]) / np.linalg.norm(unfolded))
    if folding > TOLERANCE:
        raise SystemExit(f"folding batch normalisation changed the input gradient by {folding:.1e}, relatively")

    np.savez_compressed(ARCHIVE_PATH, allow_pickle=False, **arrays)
    for name, array in arrays.items():
        print(f"{name:22} {array.dtype!s:8} {list(array.shape)}")
    print(f"{ARCHIVE_PATH.name}: {ARCHIVE_PATH.stat().st_size} bytes; classes {classes}; folding {folding:.1e}")


if __name__ == "__main__":
    main()
