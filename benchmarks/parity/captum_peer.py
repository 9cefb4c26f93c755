"""Captum: gradients at the input, Grad-CAM and what is made of both."""

from __future__ import annotations

import warnings
from unittest import mock

import numpy as np
import torch
from captum import attr

from .comparison import by_maximum, compared
from .models import Subject

PEER = "captum"
SAMPLES, NOISE, PATCH = 20, 0.15, 4
TOKENS = "not for ViT: the peer treats tokens as channels"
RELU6 = "the peer misses ReLU6 (depthwise); without any ReLU (ViT) it returns the plain gradient, onnxplain an error"
MAXIMUM = "both divided by their maximum, because onnxplain scales the Grad-CAM map first"
SIDE_BY_SIDE = "adjacent patches; for overlapping ones, the peer averages over all patches that cover a pixel"


def attributed(method: attr.Attribution, subject: Subject, **options: object) -> np.ndarray:
    """The attributions of a method."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that hooks are set
        return method.attribute(subject.image.clone(), target=subject.target, **options).detach().numpy()


@compared("grad-cam", PEER, without=["ViT"], remark=TOKENS)
def grad_cam(subject: Subject) -> np.ndarray:
    model = subject.fresh()
    return attributed(attr.LayerGradCam(model, model.explained), subject, relu_attributions=True)[:, 0]


@compared("gradient", PEER, "input_gradient")
def gradient(subject: Subject) -> np.ndarray:
    return attributed(attr.Saliency(subject.fresh()), subject, abs=False)


@compared("input-x-gradient", PEER, "input_gradient")
def input_x_gradient(subject: Subject) -> np.ndarray:
    return attributed(attr.InputXGradient(subject.fresh()), subject)


@compared("guided-backprop", PEER, "input_gradient", without=["ViT"], differs=["depthwise"], remark=RELU6)
def guided_backprop(subject: Subject) -> np.ndarray:
    return attributed(attr.GuidedBackprop(subject.fresh()), subject)


@compared("deconvnet", PEER, "input_gradient", without=["ViT"], differs=["depthwise"], remark=RELU6)
def deconvnet(subject: Subject) -> np.ndarray:
    return attributed(attr.Deconvolution(subject.fresh()), subject)


@compared(
    "guided-grad-cam",
    PEER,
    "input_gradient",
    scaling=by_maximum,
    without=["ViT"],
    differs=["depthwise"],
    remark=f"{RELU6}; {MAXIMUM}",
)
def guided_grad_cam(subject: Subject) -> np.ndarray:
    model = subject.fresh()
    return attributed(attr.GuidedGradCam(model, model.explained), subject, interpolate_mode="bilinear")


@compared("integrated-gradients", PEER, "input_gradient", remark="zero baseline, 50 steps")
def integrated_gradients(subject: Subject) -> np.ndarray:
    return attributed(attr.IntegratedGradients(subject.fresh()), subject, n_steps=50)


@compared(
    "smooth-grad",
    PEER,
    "input_gradient",
    options={"samples": SAMPLES, "noise": NOISE},
    remark="with the same noise",
)
def smooth_grad(subject: Subject) -> np.ndarray:
    def normal(mean: float, deviations: torch.Tensor) -> torch.Tensor:
        return mean + deviations * torch.from_numpy(np.random.default_rng(0).normal(size=deviations.shape))

    tunnel = attr.NoiseTunnel(attr.Saliency(subject.fresh()))
    deviation = NOISE * float(np.ptp(subject.image.numpy()))
    with mock.patch("torch.normal", normal):
        return attributed(tunnel, subject, nt_type="smoothgrad", nt_samples=SAMPLES, stdevs=deviation, abs=False)


@compared("occlusion", PEER, options={"size": PATCH, "stride": PATCH, "fill": "zero"}, remark=SIDE_BY_SIDE)
def occlusion(subject: Subject) -> np.ndarray:
    window = (3, PATCH, PATCH)
    drops = attributed(attr.Occlusion(subject.fresh()), subject, sliding_window_shapes=window, strides=window)
    return drops[:, 0, ::PATCH, ::PATCH]
