"""Maps at the model's input: one value per pixel and channel."""

from __future__ import annotations

from ...graph.tensors import Tensor
from ..attribution import layer_heatmap
from ..explained_tensor import ExplainedTensor
from ..registry import method
from .cams import grad_cam


@method("gradient", at="input")
def gradient(image: ExplainedTensor) -> Tensor:
    """dy^c/dx (Simonyan et al. 2014, section 3, "Image-Specific Class Saliency Visualisation")."""
    return image.gradient


@method("input-x-gradient", at="input")
def input_x_gradient(image: ExplainedTensor) -> Tensor:
    """x * dy^c/dx (Shrikumar et al. 2016, "Not Just a Black Box", section 3)."""
    return image.op.Mul(image.activation, image.gradient)


@method("guided-backprop", at="input", rules="guided")
def guided_backprop(image: ExplainedTensor) -> Tensor:
    """The gradient of which each ReLU passes only what is positive (Springenberg et al. 2015, section 3.4)."""
    return image.gradient


@method("deconvnet", at="input", rules="deconvnet")
def deconvnet(image: ExplainedTensor) -> Tensor:
    """The gradient that each ReLU rectifies, whatever its input was (Zeiler and Fergus 2014, section 2.1)."""
    return image.gradient


@method("guided-grad-cam", at="both", rules="guided")
def guided_grad_cam(image: ExplainedTensor, layer: ExplainedTensor) -> Tensor:
    """Guided backpropagation times the Grad-CAM heatmap at the input's size (Selvaraju et al. 2017, section 3.2)."""
    return image.op.Mul(image.gradient, layer_heatmap(layer, grad_cam(layer)))
