"""Everything that a plug-in imports: the decorators that register its parts, and the types that these receive.

    from onnxplain.extend import gradient_of

    @gradient_of("my::Cube")
    def cube(op, node, grad):
        (x,) = node.inputs
        return [op.Mul(grad, op.Mul(op.Mul(x, x), 3.0))]

`onnxplain --plugin my_plugin.py ...`, or the variable ONNXPLAIN_PLUGINS, loads it; docs/extending.md has examples.
"""

from .engine.datasets.annotation import AnnotatedImage, AnnotatedObject
from .engine.datasets.dataset import Dataset
from .engine.datasets.read import reader
from .engine.evaluation.metrics.registry import mean, metric
from .engine.evaluation.subject import Subject
from .engine.multi_pass.models import scores_alone, with_gradients
from .engine.multi_pass.registry import Sample, multi_pass_method
from .graph_rewrites.autodiff.decompose import decomposition_of
from .graph_rewrites.autodiff.reverse import Gradient, gradient_of
from .graph_rewrites.axes.step import Step, axes_of
from .graph_rewrites.backward_rules.registry import backward_rule, default_rule
from .graph_rewrites.build.emitter import Emitter
from .graph_rewrites.errors import OnnxplainError, UsageError
from .graph_rewrites.graph.node import Node
from .graph_rewrites.graph.operator_traits import ACTIVATION, POINTWISE, Traits, operator_traits, traits_of
from .graph_rewrites.graph.tensors import Tensor
from .graph_rewrites.maps.explained_tensor import ExplainedTensor
from .graph_rewrites.maps.registry import method
from .graph_rewrites.targets.scores.expression import score_function

__all__ = [
    "ACTIVATION",
    "POINTWISE",
    "AnnotatedImage",
    "AnnotatedObject",
    "Dataset",
    "Emitter",
    "ExplainedTensor",
    "Gradient",
    "Node",
    "OnnxplainError",
    "Sample",
    "Step",
    "Subject",
    "Tensor",
    "Traits",
    "UsageError",
    "axes_of",
    "backward_rule",
    "decomposition_of",
    "default_rule",
    "gradient_of",
    "mean",
    "method",
    "metric",
    "multi_pass_method",
    "operator_traits",
    "reader",
    "score_function",
    "scores_alone",
    "traits_of",
    "with_gradients",
]
