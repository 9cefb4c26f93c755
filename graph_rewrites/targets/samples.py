"""Which axis of a tensor numbers the samples: traced from the inputs, never taken to be the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_graphsurgeon as gs

from ..axes.labels import Source, only_source
from ..axes.mixing import sources_of
from ..axes.trace import AxisTrace, lost_behind, trace_axes
from ..build.emitter import Emitter
from ..errors import OnnxplainError
from ..graph.operator_traits import traits_of
from ..graph.tensors import Tensor
from ..model.model import Model


@dataclass(frozen=True)
class SampleAxes:
    """Where the samples are in a model's tensors.

    Attributes:
        trace: what all axes are.
        sources: the axes of inputs that number samples; those that are added up row by row count the same ones.
    """

    trace: AxisTrace
    sources: frozenset[Source]

    def axis_of(self, tensor: Tensor) -> int | None:
        """The axis that numbers the samples, each once and in order; None where none does."""
        labels = self.trace.of(tensor)
        return next((axis for axis, label in enumerate(labels) if only_source(label) in self.sources), None)

    def are_rows(self, tensor: Tensor) -> bool:
        """Whether the tensor has a row per sample, for all that the trace knows."""
        labels = self.trace.of(tensor)
        return bool(labels) and only_source(labels[0]) in self.sources

    def why_no_rows(self, tensor: Tensor) -> str:
        """Why a tensor has no row per sample, as the end of a sentence on it."""
        if self.is_unknown(tensor):
            return "may have no row per image, for all that the graph tells of its first axis"
        return "has no row per image: its first axis holds windows, frames or several images"

    def is_unknown(self, tensor: Tensor) -> bool:
        """Whether the first axis is unknown, and nothing before the tensor put samples together."""
        labels = self.trace.of(tensor)
        return bool(labels) and labels[0] is None and self.mixed(tensor) is None

    def mixed(self, tensor: Tensor) -> gs.Node | None:
        """The node by which samples touch each other before the tensor, such as a mean over the batch."""
        found = (self.trace.mixed(tensor, source) for source in self.sources if source.size != 1)
        return next((node for node in found if node is not None), None)

    def has_rows(self, tensor: Tensor) -> bool:
        """Whether an input has a row per sample."""
        return any(source.tensor == tensor.name for source in self.sources)

    @property
    def size(self) -> int | str | None:
        """How many samples there are: a number, or a symbol."""
        return next((source.size for source in self.sources if isinstance(source.size, int)), None) or next(
            (source.size for source in self.sources), None
        )


def sample_axes(model: Model) -> SampleAxes:
    """Finds the axes that number samples.

    A convolution, pooling or batch normalisation says so of the axis that it takes for the batch. Where none is, the
    first axis is believed of inputs of two axes or more.
    """
    trace = trace_axes(model)
    proven, refuted, unbatched = set[Source](), set[Source](), set[str]()
    for node in model.graph.nodes:
        if _takes_batch_first(node) and node.inputs and node.inputs[0].shape:
            labels = trace.of(node.inputs[0])
            proven.update(list(sources_of(labels[0]))[:1])
            others = {source for label in labels[1:] for source in sources_of(label)}
            refuted |= others
            if labels[0] is not None and not any(sources_of(labels[0])):
                unbatched.update(source.image[0] for source in others if source.image is not None)
    first = [Source(tensor.name, 0, tensor.shape[0], (tensor.name, 0)) for tensor in model.inputs if tensor.shape]
    known = {source for source in proven if source.image is not None}
    if not known:
        known = {source for source in first if source not in refuted and source.tensor not in unbatched}
    known = known - refuted or known
    return SampleAxes(trace, frozenset(_with_equal(trace, known, first)))


def named_rows(model: Model, samples: SampleAxes) -> list[str]:
    """The inputs and outputs that have a row per sample, by name; what else has the batch's size does not count."""
    inputs = [tensor.name for tensor in model.inputs if samples.has_rows(tensor)]
    outputs = [tensor for tensor in model.graph.outputs if tensor.shape]
    believed = [t for t in outputs if samples.is_unknown(t) and t.shape[0] == samples.size]
    return [*inputs, *(t.name for t in outputs if samples.axis_of(t) == 0 or any(t is one for one in believed))]


def require_samples(model: Model, samples: SampleAxes, image: Tensor, score: Tensor) -> None:
    """Checks that the image's first axis is its batch, and that the scores of samples do not depend on each other.

    Raises:
        OnnxplainError: it is not, or they do.
    """
    if not samples.has_rows(image):
        raise OnnxplainError(
            f"{model.name}: the first axis of input {image.name!r} {list(image.shape)} is not a batch of images; "
            "export the model with a batch axis in front"
        )
    for node in model.graph.nodes:
        if node.op == "BatchNormalization" and node.attrs.get("training_mode"):
            raise OnnxplainError(
                f"{model.name}: BatchNormalization (node {node.name or node.outputs[0].name!r}) is in training mode, "
                "so each image's scores depend on the others and on earlier runs; export the model for inference"
            )
    by = samples.mixed(score)
    if by is not None:
        raise OnnxplainError(
            f"{model.name}: {by.op} (node {by.name or by.outputs[0].name!r}) puts the images of a batch together, so "
            "that each one's scores depend on the others; export the model for one image, with a batch size of 1"
        )


def lacks_samples(model: Model, tensor: Tensor) -> bool:
    """Whether a tensor of a model of one image has no axis for it, as where it was squeezed."""
    samples = sample_axes(model)
    if samples.size != 1 or tensor.shape is None or samples.axis_of(tensor) is not None:
        return False
    return not (len(tensor.shape) > 1 and tensor.shape[0] == 1)


def samples_first(op: Emitter, tensor: Tensor, what: str) -> Tensor:
    """The tensor with the samples as its first axis.

    An axis elsewhere is brought there; where the model takes one sample at a time and its output has no axis for it,
    one is added.

    Raises:
        OnnxplainError: its rows are no samples.
    """
    samples = sample_axes(op.model)
    axis = samples.axis_of(tensor)
    if axis == 0 or tensor.shape is None:
        return tensor
    rank = len(tensor.shape)
    if axis is not None:
        return op.Transpose(tensor, perm=[axis, *(other for other in range(rank) if other != axis)])
    if lacks_samples(op.model, tensor):
        return op.Unsqueeze(tensor, [0])
    if not samples.sources or samples.size == 1:
        return tensor
    by = samples.mixed(tensor)
    if by is not None:
        why = f"{by.op} (node {by.name or by.outputs[0].name!r}) puts samples together"
    else:
        is_lost = samples.is_unknown(tensor)
        why = f"unknown{lost_behind(op.model, samples.trace, tensor)}" if is_lost else "they are others"
    raise OnnxplainError(
        f"{op.model.name}: the rows of {what} {list(tensor.shape)} are not the images of the batch ({why}); choose "
        "another output with score= (--score), or export the model for one image at a time"
    )


def _takes_batch_first(node: gs.Node) -> bool:
    traits = traits_of(node)
    return traits.convolves or traits.pools or (traits.normalises and traits.channels == 1)


def _with_equal(trace: AxisTrace, known: set[Source], first: list[Source]) -> Iterator[Source]:
    """The sources, and those of further inputs whose rows meet theirs in an operator, or whose size has their name."""
    yield from known
    names = {source.size for source in known if isinstance(source.size, str)}
    alike = (source for source in first if source.size in names and source not in known)
    # Where the graph pairs each with all of the others, the name says no more than that there may be as many.
    yield from (source for source in alike if not any(frozenset((source, one)) in trace.crossings for one in known))
    yield from (source for source in trace.met_by(known) if source in first and source not in known)
