"""Records `same_weights/reference_maps.npz`: the maps of the network by PyTorch's autograd, in float64.

Run it from the root of the repository, with the packages of `requirements.txt`:

    python -m exported_models.pytorch.reference_maps

README.md of `same_weights` lists the arrays.
"""

# PyTorch is not installed where the project is type-checked.
# mypy: disable-error-code="import-not-found, misc, no-any-return"

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..same_weights.weights import images
from .export import network

ARCHIVE = Path(__file__).parents[1] / "same_weights" / "reference_maps.npz"
LAYER = "last_relu6"  # the last convolutional layer after its activation
MARGIN = 1e-5  # how near a ReLU6's input may lie to 0 or 6; float32 rounds by less, see `margin`


def split(model: nn.Sequential) -> tuple[nn.Sequential, nn.Sequential]:
    """The network up to the explained layer, and what follows."""
    count = list(dict(model.named_children())).index(LAYER) + 1
    return model[:count], model[count:]


def grad_cam(features: Tensor, scores: Tensor) -> Tensor:
    """ReLU(sum of alpha * A over channels), [N, h, w]; alpha is the spatial mean of the gradient.

    Selvaraju et al. 2017, equations 1 and 2.

    Args:
        features: A, [N, C, h, w].
        scores: one score per image, [N]; as images do not mix, their sum has the gradients of all.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), features, retain_graph=True)
    return (gradient.mean((2, 3), keepdim=True) * features).sum(1).relu()


def guided_backprop(model: nn.Sequential, image: Tensor, classes: Tensor) -> Tensor:
    """The gradient [N, 3, H, W] of which each ReLU6 passes only what is positive (Springenberg et al. 2015)."""
    hooks = [
        module.register_full_backward_hook(lambda _, at_input, __: (at_input[0].relu(),))
        for module in model
        if isinstance(module, nn.ReLU6)
    ]
    image = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(_scores(model(image), classes).sum(), image)
    for hook in hooks:
        hook.remove()
    return gradient


def contrastive_mwp(head: nn.Sequential, features: Tensor, classes: Tensor) -> Tensor:
    """The contrastive marginal winning probability, [N, h, w] (Zhang et al. 2016, sections 3.2 and 3.3).

    The linear layer shares out each class's probability, and that of its dual, whose weights have the opposite sign;
    their difference goes through the pooling. A layer y of non-negative weights that has no bias shares R out as
    x * dy/dx applied to R / y.
    """
    vector = head[:-1](features)
    weight = head[-1].weight[classes]
    won, won_by_dual = (vector * (sign * weight).relu() for sign in (1, -1))
    relevance = won / won.sum(1, keepdim=True) - won_by_dual / won_by_dual.sum(1, keepdim=True)
    share = torch.where(vector > 0, relevance / vector, 0).detach()
    (gradient,) = torch.autograd.grad((vector * share).sum(), features, retain_graph=True)
    return (features * gradient).sum(1)


def margin(model: nn.Sequential, image: Tensor) -> float:
    """The distance of the ReLU6's input that lies nearest to 0 or 6, where the gradient jumps."""
    distances = []
    for module in model:
        if isinstance(module, nn.ReLU6):
            distances.append(torch.minimum(image.abs(), (image - 6).abs()).min().item())
        image = module(image)
    return min(distances)


def _scores(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None])[:, 0]


def main() -> None:
    """Record the archive."""
    model, image = network().double(), torch.from_numpy(images()).double()
    nearest = margin(model, image)
    if nearest < MARGIN:
        raise SystemExit(f"an input of a ReLU6 lies {nearest:.1e} from 0 or 6; choose another seed")
    trunk, head = split(model)
    features = trunk(image).detach().requires_grad_()
    logits = head(features)
    classes = logits.topk(3).indices
    columns: dict[str, list[Tensor]] = {"grad-cam": [], "guided-backprop": [], "c-mwp": []}
    for column in classes.T:
        columns["grad-cam"].append(grad_cam(features, _scores(logits, column)))
        columns["guided-backprop"].append(guided_backprop(model, image, column))
        columns["c-mwp"].append(contrastive_mwp(head, features, column))
    arrays: dict[str, Any] = {"images": images(), "classes": classes.numpy(), "logits": logits.detach().numpy()}
    for method, maps in columns.items():
        arrays[method] = torch.stack(maps, 1).detach().numpy().astype(np.float32)
    np.savez_compressed(ARCHIVE, allow_pickle=False, **arrays)
    for name, array in arrays.items():
        print(f"{name:16} {array.dtype!s:8} {list(array.shape)}")
    saturated = (features == 6).double().mean().item()
    print(f"{ARCHIVE.name}: {ARCHIVE.stat().st_size} bytes; margin {nearest:.1e}; {saturated:.0%} at 6")


if __name__ == "__main__":
    main()
