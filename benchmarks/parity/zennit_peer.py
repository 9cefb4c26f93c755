"""zennit: backward rules for ReLU, and excitation backprop."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from zennit.canonizers import AttributeCanonizer, SequentialMergeBatchNorm
from zennit.composites import DeconvNet, ExcitationBackprop, GuidedBackprop
from zennit.core import BasicHook, Composite, Stabilizer
from zennit.layer import Sum
from zennit.rules import NoMod, Pass, ReLUDeconvNet, ReLUGuidedBackprop
from zennit.types import Activation, BatchNorm

from .comparison import compared
from .models import SHAPES, Residual, SqueezeExcite, Subject

PEER = "zennit"
ALL = tuple(SHAPES)
RELU6 = "with the peer's ReLU rule on ReLU6 too"
OWN_RULES = (
    "in the peer, biases take relevance, sums split it by signed values, and ReLU6 and gates pass plain gradients; in "
    "the paper, only excitatory inputs take relevance"
)
PAPER_RULES = (
    "no bias, sums split by max(x, 0), relevance passed through activations and gated blocks; the remaining 1e-06 "
    "comes from the epsilon of batch normalisations, which zennit keeps when it merges them"
)


def attributed(composite: Composite, model: nn.Module, values: Tensor, target: int) -> np.ndarray:
    """What flows back from 1 at the target's score to `values` under the rules of a composite."""
    values = values.clone().requires_grad_()
    with composite.context(model) as changed:
        changed(values)[0, target].backward()
    return values.grad.numpy()


@compared("guided-backprop", PEER, "input_gradient", without=["ViT"], remark=RELU6)
def guided_backprop(subject: Subject) -> np.ndarray:
    composite = GuidedBackprop(layer_map=[(nn.ReLU6, ReLUGuidedBackprop())])
    return attributed(composite, subject.fresh(), subject.image, subject.target)


@compared("deconvnet", PEER, "input_gradient", without=["ViT"], remark=RELU6)
def deconvnet(subject: Subject) -> np.ndarray:
    composite = DeconvNet(layer_map=[(nn.ReLU6, ReLUDeconvNet())])
    return attributed(composite, subject.fresh(), subject.image, subject.target)


def excitation(composite: Composite, subject: Subject) -> np.ndarray:
    """The relevance at the explained layer summed over channels, [1, h, w]."""
    return attributed(composite, subject.fresh().head, subject.values, subject.target).sum(axis=1)


@compared("mwp", PEER, without=["ViT"], differs=ALL, remark=OWN_RULES)
def mwp(subject: Subject) -> np.ndarray:
    return excitation(ExcitationBackprop(canonizers=[SequentialMergeBatchNorm(), residual_sums()]), subject)


@compared("mwp", f"{PEER}, with the paper's rules", without=["ViT"], remark=PAPER_RULES)
def mwp_as_in_the_paper(subject: Subject) -> np.ndarray:
    tiny = Stabilizer(epsilon=1e-30)
    positive_sum = BasicHook(
        input_modifiers=[lambda values: values.clamp(min=0)],
        param_modifiers=[NoMod(param_keys=[])],
        gradient_mapper=lambda grad, outputs: grad / tiny(outputs[0]),
    )
    passing = ((SqueezeExcite, *Activation.__subclass__, *BatchNorm.__subclass__), Pass())
    composite = ExcitationBackprop(
        stabilizer=tiny,
        zero_params=["bias"],
        layer_map=[passing, (Sum, positive_sum)],
        canonizers=[SequentialMergeBatchNorm(), residual_sums()],
    )
    return excitation(composite, subject)


def residual_sums() -> AttributeCanonizer:
    """Makes the sum of each residual block a module, which rules can be set on."""

    def forward(block: Residual, x: Tensor) -> Tensor:
        return block.relu(block.sum(torch.stack([block.shortcut(x), block.branch(x)], dim=-1)))

    def changes(name: str, module: nn.Module) -> dict[str, object] | None:
        return {"forward": forward.__get__(module), "sum": Sum()} if isinstance(module, Residual) else None

    return AttributeCanonizer(changes)
