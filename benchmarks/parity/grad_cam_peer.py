"""pytorch-grad-cam (the package `grad-cam`): class activation maps at the layer's resolution, before its scaling."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from unittest import mock

import cv2
import numpy as np
from pytorch_grad_cam import (
    AblationCAM,
    AblationLayer,
    AblationLayerVit,
    EigenCAM,
    EigenGradCAM,
    FullGrad,
    GradCAM,
    GradCAMPlusPlus,
    GuidedBackpropReLUModel,
    HiResCAM,
    LayerCAM,
    ScoreCAM,
    XGradCAM,
)
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn

from .comparison import compared, to_unit_range
from .models import SHAPES, Subject

PEER = "grad-cam"
ALL = tuple(SHAPES)
GAIN = 1e6
EPSILON = (
    "the peer adds 1e-6 to denominators of the order of a squared gradient, which weakens channels with small gradients"
)
NO_EPSILON = "the same eq. 19, but the peer's 1e-6 becomes negligible"
CENTRED = "with `centre`; the sign of the singular vector is the one that onnxplain chooses"
UNCENTRED = "the paper does not centre, and by default neither does onnxplain"
BY_CHANNEL = (
    "the peer scales each channel to [0, 1] separately; the paper's authors, in their code, scale a whole layer"
)
UNIT_RANGE = "both maps scaled to [0, 1]"
RELU6 = "the peer misses ReLU6 (depthwise); without any ReLU (ViT) it returns the plain gradient, onnxplain an error"
CORNERS = "the peer upsamples the masks with aligned corners"
MINUS = "in layers with negative values (ViT) the peer subtracts 10^7 from a channel; the paper sets it to zero"


def raw_map(kind: Callable[..., BaseCAM], subject: Subject, *, gain: float = 1, sign: int = 1) -> np.ndarray:
    """The map of a method as its `get_cam_image` returns it, [1, h, w].

    Args:
        kind: the method.
        subject: what is explained.
        gain: multiplies the gradients and divides the activations that the method is given.
        sign: of the score that is explained.
    """
    model = subject.fresh()
    targets = [lambda scores: sign * scores[subject.target]]
    cam = kind(model, [model.explained], reshape_transform=subject.maps)
    cam(subject.image, targets)
    found = cam.activations_and_grads
    activations = found.activations[0].numpy() / gain
    gradients = found.gradients[0].numpy() * gain if found.gradients else None
    return cam.get_cam_image(subject.image, model.explained, targets, activations, gradients, False)


def rectified_map(kind: Callable[..., BaseCAM], subject: Subject, **how: float) -> np.ndarray:
    """ReLU of the map, which the peer takes of all."""
    return np.maximum(raw_map(kind, subject, **how), 0)


@compared("grad-cam", PEER)
def grad_cam(subject: Subject) -> np.ndarray:
    return rectified_map(GradCAM, subject)


@compared("counterfactual", f"{PEER}, the score negated")
def counterfactual(subject: Subject) -> np.ndarray:
    return rectified_map(GradCAM, subject, sign=-1)


@compared("grad-cam++", PEER, differs=ALL, remark=EPSILON)
def grad_cam_plus_plus(subject: Subject) -> np.ndarray:
    return rectified_map(GradCAMPlusPlus, subject)


@compared("grad-cam++", f"{PEER}, given activations / 10^6 and gradients * 10^6", remark=NO_EPSILON)
def grad_cam_plus_plus_without_epsilon(subject: Subject) -> np.ndarray:
    return rectified_map(GradCAMPlusPlus, subject, gain=GAIN)


@compared("xgrad-cam", PEER)
def xgrad_cam(subject: Subject) -> np.ndarray:
    return rectified_map(XGradCAM, subject)


@compared("hires-cam", PEER)
def hires_cam(subject: Subject) -> np.ndarray:
    return rectified_map(HiResCAM, subject)


@compared("layer-cam", PEER)
def layer_cam(subject: Subject) -> np.ndarray:
    return rectified_map(LayerCAM, subject)


@compared("eigen-cam", PEER, options={"centre": True}, remark=f"{CENTRED}; {UNCENTRED}")
def eigen_cam(subject: Subject) -> np.ndarray:
    maps = subject.maps(subject.values) if subject.maps else subject.values
    return rectified_along(maps.abs().sum(1).numpy(), raw_map(EigenCAM, subject))


@compared("eigen-grad-cam", PEER, options={"centre": True}, remark=CENTRED)
def eigen_grad_cam(subject: Subject) -> np.ndarray:
    return rectified_along(raw_map(HiResCAM, subject), raw_map(EigenGradCAM, subject))


def rectified_along(total: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """ReLU of the projection or, where that goes against `total`, of its negative."""
    return np.maximum(projection if (projection * total).sum() >= 0 else -projection, 0)


@compared("full-grad", PEER, scaling=to_unit_range, differs=ALL, remark=f"{BY_CHANNEL}; {UNIT_RANGE}")
def full_grad(subject: Subject) -> np.ndarray:
    return FullGrad(subject.fresh(), [])(subject.image, [lambda scores: scores[subject.target]])


@compared("full-grad", f"{PEER}, whole layers scaled", scaling=to_unit_range, remark=UNIT_RANGE)
def full_grad_by_layer(subject: Subject) -> np.ndarray:
    def scaled(layer: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return np.stack([cv2.resize(channel, size) for channel in to_unit_range(layer)[0]])[None]

    with mock.patch("pytorch_grad_cam.fullgrad_cam.scale_accross_batch_and_channels", scaled):
        return full_grad(subject)


@compared("guided-backprop", PEER, "input_gradient", without=["ViT"], differs=["depthwise"], remark=RELU6)
def guided_backprop(subject: Subject) -> np.ndarray:
    return GuidedBackpropReLUModel(subject.fresh())(subject.image.clone(), subject.target).transpose(2, 0, 1)[None]


@compared("score-cam", PEER, differs=ALL, remark=CORNERS)
def score_cam(subject: Subject) -> np.ndarray:
    return rectified_map(ScoreCAM, subject)


@compared("score-cam", f"{PEER}, half-pixel centres")
def score_cam_half_pixel(subject: Subject) -> np.ndarray:
    with mock.patch("torch.nn.UpsamplingBilinear2d", partial(nn.Upsample, mode="bilinear")):
        return rectified_map(ScoreCAM, subject)


@compared("ablation-cam", PEER, differs=["ViT"], remark=MINUS)
def ablation_cam(subject: Subject) -> np.ndarray:
    layer = AblationLayerVit() if subject.maps else AblationLayer()
    return rectified_map(partial(AblationCAM, ablation_layer=layer), subject)


@compared("ablation-cam", f"{PEER}, channels set to zero")
def ablation_cam_to_zero(subject: Subject) -> np.ndarray:
    axis = 2 if subject.maps else 1

    class Zero(AblationLayerVit):
        def __call__(self, x: Tensor) -> Tensor:
            for row, channel in zip(self.activations, self.indices, strict=False):
                row.select(axis - 1, int(channel)).zero_()
            return self.activations

    return rectified_map(partial(AblationCAM, ablation_layer=Zero()), subject)
