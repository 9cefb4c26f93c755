"""The same explanations by the peers, of the same weights, beside ours; prints JSON.

    python -m benchmarks.speed.peers MODEL BATCH SECONDS

The ONNX model is brought to PyTorch by onnx2torch, layer by layer, and each peer is used as its documentation shows.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx2torch
import onnx_ad
import onnxplain
import torch
from captum.attr import LayerGradCam, Saliency
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from .architectures import ARCHITECTURES, CLASSES, SIDE, VIT_PATCH
from .cases import PLAIN, Built, built, cpu_session
from .timing import interleaved

ROUNDS = 3
PAUSE = 0.05  # seconds; PyTorch's threads wait for work in a loop for a while
OURS = ("Grad-CAM", "gradient")
ONNX_AD_BATCH = 1  # the only batch that onnx-ad is timed with: it takes too long for more


def main(name: str, batch: int, seconds: float) -> None:
    """Measures and prints the seconds of each, and how far their results are from ours, over our largest value."""
    model = ARCHITECTURES[name]()
    layer = next(one for one in onnxplain.layers(model) if one.is_default)
    with tempfile.TemporaryDirectory() as folder:
        files = built(model, Path(folder), batch, OURS)
        plain = files[PLAIN].session()
        runs: dict[str, Callable[[], np.ndarray]] = {
            PLAIN: lambda: plain.run(None, files[PLAIN].feeds)[0],
            "Grad-CAM": ours(files["Grad-CAM"], "cam"),
            "gradient": ours(files["gradient"], "input_gradient"),
            **torch_runs(model, layer, files[PLAIN].feeds["image"]),
        }
        if batch == ONNX_AD_BATCH:
            runs["onnx-ad"] = onnx_ad_run(model, files[PLAIN].feeds["image"])
        results = {peer: run() for peer, run in runs.items()}
        print(json.dumps({"times": interleaved(runs, seconds, ROUNDS, PAUSE), "apart": apart(results)}))


def ours(built: Built, output: str) -> Callable[[], np.ndarray]:
    """All outputs of an explained model are computed; one is returned, of the only class."""
    session = built.session()
    index = [value.name for value in session.get_outputs()].index(output)
    return lambda: session.run(None, built.feeds)[index][:, 0]


def torch_runs(
    model: onnx.ModelProto, layer: onnxplain.Layer, pixels: np.ndarray
) -> dict[str, Callable[[], np.ndarray]]:
    """PyTorch itself, and the packages that work on it."""
    network = onnx2torch.convert(model).eval()
    images = torch.from_numpy(pixels)
    explained = network.get_submodule(next(node.name for node in model.graph.node if layer.name in node.output))
    tokens = len(layer.shape) == 3
    targets = [ClassifierOutputTarget(0)] * len(images)
    grad_cam = GradCAM(network, [explained], reshape_transform=patch_maps if tokens else None)
    saliency, layer_grad_cam = Saliency(network), LayerGradCam(network, explained)

    def autograd() -> np.ndarray:
        x = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(network(x)[:, 0].sum(), x)
        return gradient.numpy()

    def forward() -> np.ndarray:
        with torch.inference_mode():
            return network(images).numpy()

    runs: dict[str, Callable[[], np.ndarray]] = {
        "torch": forward,
        "torch.autograd": autograd,
        "captum Saliency": lambda: saliency.attribute(images.clone().requires_grad_(), 0, abs=False).detach().numpy(),
        "pytorch-grad-cam": lambda: grad_cam(input_tensor=images, targets=targets),
    }
    if not tokens:
        runs["captum LayerGradCam"] = lambda: (
            layer_grad_cam.attribute(images, 0, relu_attributions=True)[:, 0].detach().numpy()
        )
    return runs


def patch_maps(tokens: torch.Tensor) -> torch.Tensor:
    """Tokens [N, 1 + patches, C] as feature maps [N, C, h, w], without the class token."""
    side = SIDE // VIT_PATCH
    return tokens[:, 1:].reshape(len(tokens), side, side, -1).permute(0, 3, 1, 2)


def onnx_ad_run(model: onnx.ModelProto, pixels: np.ndarray) -> Callable[[], np.ndarray]:
    """The input's gradient by onnx-ad, which wants every size to be known."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = len(pixels)
    fixed = onnx.shape_inference.infer_shapes(fixed, data_prop=True)
    adjoint = onnx_ad.reverse(fixed, inputs=["image"], outputs=["logits"], layout="onnx")
    seed = np.zeros((len(pixels), CLASSES, 1), np.float32)
    seed[:, 0] = 1
    feeds = {"image": pixels, adjoint.graph.input[1].name: seed}
    session = cpu_session(adjoint.SerializeToString())
    name = adjoint.graph.output[-1].name
    return lambda: session.run([name], feeds)[0][..., 0]


def apart(results: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest difference from ours, over our largest value; of pytorch-grad-cam between maps scaled as it does."""
    cam, gradient = results["Grad-CAM"], results["gradient"]
    scaled = scale_cam_image(scale_cam_image(np.maximum(cam, 0), (SIDE, SIDE)))
    expected = {
        "torch": results[PLAIN], "torch.autograd": gradient, "captum Saliency": gradient, "onnx-ad": gradient,
        "captum LayerGradCam": cam, "pytorch-grad-cam": scaled,
    }  # fmt: skip
    return {
        peer: float(np.abs(results[peer] - expected[peer]).max() / (np.abs(expected[peer]).max() or 1))
        for peer in expected
        if peer in results
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
