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

from .engine.explainer import Explainer
from .engine.explanation import Explanation
from .engine.images.preprocess import Preprocess
from .engine.language.captions import Caption, Captioner
from .engine.language.questions import Answerer, Answers
from .graph_rewrites.autodiff.reverse import GRADIENTS, gradient_of
from .graph_rewrites.backward_rules.registry import RULES, backward_rule
from .graph_rewrites.errors import OnnxplainError, UsageError
from .graph_rewrites.maps.registry import METHODS, method
from .graph_rewrites.model.metadata import VERSION, add_metadata
from .graph_rewrites.rewrite import layers, rewrite
from .graph_rewrites.targets.layers import Layer
from .graph_rewrites.vjp import append_vjp

__version__ = VERSION

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
