"""onnxplain: explains the predictions of exported ONNX models.

A model is rewritten into an explained model, the same graph with the explanation as further outputs in standard ONNX
operators, which plain ONNX Runtime runs.

    onnxplain.layers(model)             the layers that can be explained
    onnxplain.rewrite(model)            the explained model
    onnxplain.Explainer(model)(photo)   heatmaps over photos
    onnxplain.Captioner(model)(photo)   a caption, and heatmaps of its words
    onnxplain.Answerer(model)(photo, question)    answers, and their heatmaps
    onnxplain.append_vjp(model, ...)    gradients of any tensor
"""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "GRADIENTS",
    "METHODS",
    "RULES",
    "Answerer",
    "Answers",
    "Caption",
    "Captioner",
    "Explainer",
    "Explanation",
    "Layer",
    "OnnxplainError",
    "Preprocess",
    "UsageError",
    "add_metadata",
    "append_vjp",
    "backward_rule",
    "gradient_of",
    "layers",
    "method",
    "rewrite",
]

if TYPE_CHECKING:
    from .engine.explainer import Explainer
    from .engine.explanation import Explanation
    from .engine.images.preprocess import Preprocess
    from .engine.language.captions import Caption, Captioner
    from .engine.language.questions import Answerer, Answers
    from .graph_rewrites.autodiff.reverse import GRADIENTS, gradient_of
    from .graph_rewrites.backward_rules.registry import RULES, backward_rule
    from .graph_rewrites.errors import OnnxplainError, UsageError
    from .graph_rewrites.maps.registry import METHODS, method
    from .graph_rewrites.model.metadata import add_metadata
    from .graph_rewrites.rewrite import layers, rewrite
    from .graph_rewrites.targets.layers import Layer
    from .graph_rewrites.vjp import append_vjp

    __version__: str
else:
    # Imported when one is first used: the command line loads this package before it knows what it is asked for.
    _HOMES = {
        "GRADIENTS": ".graph_rewrites.autodiff.reverse",
        "METHODS": ".graph_rewrites.maps.registry",
        "RULES": ".graph_rewrites.backward_rules.registry",
        "Answerer": ".engine.language.questions",
        "Answers": ".engine.language.questions",
        "Caption": ".engine.language.captions",
        "Captioner": ".engine.language.captions",
        "Explainer": ".engine.explainer",
        "Explanation": ".engine.explanation",
        "Layer": ".graph_rewrites.targets.layers",
        "OnnxplainError": ".graph_rewrites.errors",
        "Preprocess": ".engine.images.preprocess",
        "UsageError": ".graph_rewrites.errors",
        "add_metadata": ".graph_rewrites.model.metadata",
        "append_vjp": ".graph_rewrites.vjp",
        "backward_rule": ".graph_rewrites.backward_rules.registry",
        "gradient_of": ".graph_rewrites.autodiff.reverse",
        "layers": ".graph_rewrites.rewrite",
        "method": ".graph_rewrites.maps.registry",
        "rewrite": ".graph_rewrites.rewrite",
    }

    def __getattr__(name: str) -> object:
        """A public name. The first that is asked for brings all, since their modules fill the tables among them."""
        if name == "__version__":
            return import_module(".graph_rewrites.model.metadata", __name__).VERSION
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        for public, home in _HOMES.items():
            globals()[public] = getattr(import_module(home, __name__), public)
        return globals()[name]

    def __dir__() -> list[str]:
        """All names, those not imported yet among them."""
        return sorted({*globals(), *__all__, "__version__"})
