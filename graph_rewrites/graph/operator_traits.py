"""What is known of operators, one row an operator; everything that asks by an operator's name asks here.

A row states what holds under inference, with the usual operands. What a consumer makes of it (whether a layer ends
here, where relevance goes) is the consumer's own. The tests check each fact by computing it.

A function of one's own takes part everywhere by its gradient rule and a row:

    operator_traits("my::Act", ACTIVATION)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import onnx_graphsurgeon as gs

Values: TypeAlias = Literal["in place", "reshaped", "rearranged", "picked"]


@dataclass(frozen=True)
class Traits:
    """The facts of an operator; all false or None for one without a row.

    Sums, products, weights and windows of operators on integers are those of the reals that the integers stand for;
    functions are functions of floats.

    Attributes:
        pointwise: each element of the output depends on one position of each input alone, by broadcasting.
        one_to_one: a unit of the output is a unit of the input that went through a function: of the input it is the
            unit at the same place that raises it most. Shares of a fixed total are none, nor is what loses its size.
        rectifies: passes values on one side of zero as they are, and cuts off those on the other or damps them all
            alike; some operators only for some operands.
        gates: pointwise, with values in [0, 1].
        odd: a pointwise function of one input, not the identity, with f(-x) = -f(x), so that its values have either
            sign.
        singular: a pointwise function of one input whose slope grows without bound towards a point or an end.
        final: turns scores into probabilities or their logarithms, and keeps their order.
        adds: the sum or mean of its inputs.
        multiplies: the product of its two inputs.
        scales: of two inputs, by which one is scaled, shifted or bounded by the other; not their sum.
        affine: pointwise; what it makes of its first input, the others fixed, is affine and loses nothing.
        averages: a sum of one input over axes or windows, with equal weights.
        values: every value of the output is one of its inputs', or a constant between them: all in place, all in the
            same order under another shape, all rearranged, or some picked, repeated or joined.
        weighted: linear in its input and in its weight: a convolution or a matrix product.
        convolves: weighted, over windows.
        pools: sums up windows of each channel by itself.
        resamples: makes spatial axes longer or shorter by interpolation.
        normalises: takes the mean or the size out of values along axes.
        channels: the axis of the channels in a convolution, pooling or normalisation, 1 or -1.
        keeps_axes: each axis of the output is the input's of the same index, though perhaps longer or shorter, where
            the number of axes stays; one that is summed up, or made of others by weights, is not.
        makes_maps: makes feature maps of feature maps, which are worth explaining.
        recurrent: goes through a sequence step by step.
        body: runs a graph of its own.
        random: draws other numbers each time.
        finite: puts out no infinities that are meant, such as a mask of attention: always what has weights or
            normalises; "if its inputs are" what is affine or moves all values. None says nothing.
        quantised: its first output holds integers that stand for reals.
        reads_quantised: takes or makes integers for the reals that they stand for.
        output_scale: the index of the input that is the scale of the output; its zero point comes next.
        keeps_scale: takes integers, and its output is quantised as its first input is.
        holds_tensors: makes or passes on a sequence or an optional; what a body makes is the body's.
        takes_tensors: takes a tensor out of a sequence or an optional.
    """

    pointwise: bool = False
    one_to_one: bool = False
    rectifies: bool = False
    gates: bool = False
    odd: bool = False
    singular: bool = False
    final: bool = False
    adds: bool = False
    multiplies: bool = False
    scales: bool = False
    affine: bool = False
    averages: bool = False
    values: Values | None = None
    weighted: bool = False
    convolves: bool = False
    pools: bool = False
    resamples: bool = False
    normalises: bool = False
    channels: int | None = None
    keeps_axes: bool = False
    makes_maps: bool = False
    recurrent: bool = False
    body: bool = False
    random: bool = False
    finite: Literal["always", "if its inputs are"] | None = None
    quantised: bool = False
    reads_quantised: bool = False
    output_scale: int | None = None
    keeps_scale: bool = False
    holds_tensors: bool = False
    takes_tensors: bool = False

    @property
    def completes_layer(self) -> bool:
        """Whether it belongs to the layer before it: a convolution, its normalisation and activation count as one."""
        return self.pointwise or (self.normalises and self.channels == 1)

    @property
    def keeps_signs(self) -> bool:
        """Whether, behind it, a value's sign is that of what went in."""
        return self.values is not None or self.adds or self.averages or self.multiplies


NONE = Traits()
POINTWISE = Traits(pointwise=True, keeps_axes=True, makes_maps=True)
ACTIVATION = replace(POINTWISE, one_to_one=True)
AFFINE = replace(POINTWISE, affine=True, finite="if its inputs are")
IN_PLACE = replace(POINTWISE, values="in place", affine=True, keeps_scale=True)
RESHAPED = Traits(values="reshaped", finite="if its inputs are", keeps_scale=True)
REARRANGED = Traits(values="rearranged", finite="if its inputs are", keeps_scale=True)
PICKED = Traits(values="picked", keeps_scale=True)
PRODUCT = Traits(weighted=True, finite="always")
CONVOLUTION = replace(PRODUCT, convolves=True, channels=1, makes_maps=True)
POOL = Traits(pools=True, channels=1, keeps_axes=True, makes_maps=True)
NORM = Traits(normalises=True, channels=1, keeps_axes=True, makes_maps=True, finite="always")
LAYER_NORM = replace(NORM, channels=-1, makes_maps=False)
QUANTISED = Traits(quantised=True, reads_quantised=True)
QUANTISED_POINTWISE = replace(QUANTISED, pointwise=True, keeps_axes=True, makes_maps=True)
QUANTISED_PRODUCT = replace(QUANTISED, weighted=True)
QUANTISED_CONVOLUTION = replace(CONVOLUTION, finite=None, quantised=True, reads_quantised=True)
MS = "com.microsoft::"

# fmt: off
TRAITS: dict[str, Traits] = {
    # Activation functions.
    "Relu": replace(ACTIVATION, rectifies=True, keeps_scale=True),
    "Clip": replace(ACTIVATION, rectifies=True, keeps_scale=True),
    "LeakyRelu": replace(ACTIVATION, rectifies=True),
    "PRelu": replace(ACTIVATION, rectifies=True),
    "ThresholdedRelu": replace(ACTIVATION, rectifies=True),
    "Sigmoid": replace(ACTIVATION, gates=True, final=True),
    "HardSigmoid": replace(ACTIVATION, gates=True),
    "Tanh": replace(ACTIVATION, odd=True),
    "Softsign": replace(ACTIVATION, odd=True),
    "Elu": ACTIVATION,
    "Selu": ACTIVATION,
    "Celu": ACTIVATION,
    "HardSwish": ACTIVATION,
    "Swish": ACTIVATION,
    "Mish": ACTIVATION,
    "Gelu": ACTIVATION,
    "Softplus": ACTIVATION,
    f"{MS}Gelu": ACTIVATION,
    f"{MS}FastGelu": ACTIVATION,
    f"{MS}QuickGelu": ACTIVATION,
    f"{MS}BiasGelu": ACTIVATION,
    # Elementary functions.
    "Sqrt": replace(ACTIVATION, singular=True),
    "Log": replace(ACTIVATION, singular=True),
    "Acosh": replace(ACTIVATION, singular=True),
    "Asin": replace(ACTIVATION, odd=True, singular=True),
    "Atanh": replace(ACTIVATION, odd=True, singular=True),
    "Exp": ACTIVATION,
    "Shrink": replace(ACTIVATION, odd=True),
    "Erf": replace(ACTIVATION, odd=True),
    "Atan": replace(ACTIVATION, odd=True),
    "Sinh": replace(ACTIVATION, odd=True),
    "Asinh": replace(ACTIVATION, odd=True),
    "Acos": replace(POINTWISE, singular=True),
    "Reciprocal": replace(POINTWISE, odd=True, singular=True),
    "Neg": replace(AFFINE, odd=True),
    "Sin": replace(POINTWISE, odd=True),
    "Tan": replace(POINTWISE, odd=True),
    "Round": replace(POINTWISE, odd=True),
    "Sign": replace(POINTWISE, odd=True),
    "Abs": POINTWISE,
    "Cos": POINTWISE,
    "Cosh": POINTWISE,
    "Floor": POINTWISE,
    "Ceil": POINTWISE,
    "Not": POINTWISE,
    "IsNaN": POINTWISE,
    "IsInf": POINTWISE,
    "ai.onnx.ml::Binarizer": replace(POINTWISE, gates=True),
    # Arithmetic and selection.
    "Add": replace(AFFINE, adds=True),
    "Sum": replace(AFFINE, adds=True),
    "Mean": replace(AFFINE, adds=True),
    f"{MS}BiasAdd": replace(AFFINE, adds=True),
    "Sub": replace(AFFINE, scales=True),
    "Mul": replace(AFFINE, scales=True, multiplies=True),
    "Div": replace(AFFINE, scales=True),
    "Max": replace(POINTWISE, scales=True, values="picked", rectifies=True),
    "Min": replace(POINTWISE, scales=True, values="picked", rectifies=True),
    "Where": replace(POINTWISE, values="picked", rectifies=True),
    "SwiGLU": POINTWISE,
    "Pow": POINTWISE,
    "Mod": POINTWISE,
    "BitShift": POINTWISE,
    "And": POINTWISE,
    "Or": POINTWISE,
    "Xor": POINTWISE,
    "Equal": POINTWISE,
    "Greater": POINTWISE,
    "GreaterOrEqual": POINTWISE,
    "Less": POINTWISE,
    "LessOrEqual": POINTWISE,
    # Operators that move values.
    "Identity": replace(IN_PLACE, finite="if its inputs are", holds_tensors=True),
    "Dropout": replace(IN_PLACE, finite="if its inputs are", keeps_scale=False),
    "Cast": IN_PLACE,
    "CastLike": IN_PLACE,
    "Reshape": RESHAPED,
    "Squeeze": RESHAPED,
    "Unsqueeze": RESHAPED,
    "Flatten": RESHAPED,
    "Transpose": replace(REARRANGED, makes_maps=True),
    "DepthToSpace": REARRANGED,
    "SpaceToDepth": REARRANGED,
    "ReverseSequence": REARRANGED,
    "Slice": replace(PICKED, keeps_axes=True, makes_maps=True),
    "Pad": replace(PICKED, keeps_axes=True, makes_maps=True),
    "Concat": replace(PICKED, keeps_axes=True, makes_maps=True, keeps_scale=False),
    "Trilu": replace(PICKED, pointwise=True, keeps_axes=True, makes_maps=True),
    "Split": replace(PICKED, keeps_axes=True),
    "Gather": replace(PICKED, keeps_axes=True),
    "Expand": replace(PICKED, keeps_axes=True),
    "Tile": replace(PICKED, keeps_axes=True),
    "Compress": replace(PICKED, keeps_axes=True),
    "Unique": replace(PICKED, keeps_axes=True),
    "GatherElements": PICKED,
    "GatherND": PICKED,
    "ReduceMax": PICKED,
    "ReduceMin": PICKED,
    "TopK": PICKED,
    "GlobalMaxPool": replace(PICKED, keeps_scale=False),
    # Layers with weights.
    "Conv": CONVOLUTION,
    "ConvTranspose": CONVOLUTION,
    f"{MS}FusedConv": CONVOLUTION,
    f"{MS}ConvTransposeWithDynamicPads": CONVOLUTION,
    f"{MS}NhwcConv": replace(CONVOLUTION, channels=-1),
    f"{MS}NhwcFusedConv": replace(CONVOLUTION, channels=-1),
    "MatMul": PRODUCT,
    "Gemm": PRODUCT,
    # Pooling and resampling.
    "MaxPool": replace(POOL, values="picked", keeps_scale=True),
    f"{MS}NhwcMaxPool": replace(POOL, channels=-1, values="picked", keeps_scale=True),
    "AveragePool": replace(POOL, averages=True),
    "LpPool": POOL,
    "GlobalAveragePool": replace(NONE, averages=True),
    "ReduceMean": replace(NONE, averages=True),
    "ReduceSum": replace(NONE, averages=True),
    "Resize": replace(NONE, resamples=True, keeps_axes=True, makes_maps=True, keeps_scale=True),
    "Upsample": replace(NONE, resamples=True, keeps_axes=True, makes_maps=True, keeps_scale=True),
    # Normalisation and probabilities.
    "BatchNormalization": replace(NORM, pointwise=True, one_to_one=True, affine=True),
    "InstanceNormalization": NORM,
    "GroupNormalization": NORM,
    "LRN": replace(NORM, one_to_one=True),
    "LayerNormalization": LAYER_NORM,
    "RMSNormalization": LAYER_NORM,
    "SimplifiedLayerNormalization": LAYER_NORM,
    f"{MS}SimplifiedLayerNormalization": LAYER_NORM,
    f"{MS}SkipLayerNormalization": LAYER_NORM,
    f"{MS}SkipSimplifiedLayerNormalization": LAYER_NORM,
    "Softmax": replace(NONE, final=True, keeps_axes=True),
    "LogSoftmax": replace(NONE, final=True, keeps_axes=True, one_to_one=True),
    # Recurrent layers, bodies, chance.
    "RNN": replace(NONE, recurrent=True),
    "GRU": replace(NONE, recurrent=True),
    "LSTM": replace(NONE, recurrent=True),
    "If": replace(NONE, body=True),
    "Loop": replace(NONE, body=True),
    "Scan": replace(NONE, body=True),
    "RandomNormal": replace(NONE, random=True),
    "RandomNormalLike": replace(NONE, random=True),
    "RandomUniform": replace(NONE, random=True),
    "RandomUniformLike": replace(NONE, random=True),
    "Bernoulli": replace(NONE, random=True),
    "Multinomial": replace(NONE, random=True),
    # Quantised tensors.
    "QuantizeLinear": replace(QUANTISED_POINTWISE, output_scale=1),
    f"{MS}QuantizeLinear": replace(QUANTISED_POINTWISE, output_scale=1),
    "DequantizeLinear": replace(POINTWISE, reads_quantised=True),
    f"{MS}DequantizeLinear": replace(POINTWISE, reads_quantised=True),
    "DynamicQuantizeLinear": replace(QUANTISED, keeps_axes=True),
    "MatMulInteger": QUANTISED_PRODUCT,
    "ConvInteger": QUANTISED_CONVOLUTION,
    "QLinearConv": replace(QUANTISED_CONVOLUTION, output_scale=6),
    f"{MS}QLinearConv": replace(QUANTISED_CONVOLUTION, output_scale=6),
    "QLinearMatMul": replace(QUANTISED_PRODUCT, output_scale=6),
    f"{MS}QGemm": replace(QUANTISED_PRODUCT, output_scale=7),
    f"{MS}QLinearAdd": replace(QUANTISED_POINTWISE, output_scale=6, adds=True),
    f"{MS}QLinearMul": replace(QUANTISED_POINTWISE, output_scale=6, multiplies=True),
    f"{MS}QLinearSigmoid": replace(QUANTISED_POINTWISE, output_scale=3),
    f"{MS}QLinearLeakyRelu": replace(QUANTISED_POINTWISE, output_scale=3),
    f"{MS}QLinearWhere": replace(QUANTISED_POINTWISE, output_scale=7),
    f"{MS}QLinearConcat": replace(QUANTISED, output_scale=0, keeps_axes=True, makes_maps=True),
    f"{MS}QLinearAveragePool": replace(POOL, averages=True, quantised=True, reads_quantised=True, output_scale=3),
    f"{MS}QLinearGlobalAveragePool": replace(QUANTISED, output_scale=3, averages=True),
    f"{MS}QLinearReduceMean": replace(QUANTISED, output_scale=3, averages=True),
    f"{MS}QLinearSoftmax": replace(QUANTISED, output_scale=3, keeps_axes=True),
    f"{MS}MatMulIntegerToFloat": replace(NONE, weighted=True, reads_quantised=True),
    f"{MS}QAttention": replace(NONE, reads_quantised=True),
    # Sequences and optionals.
    "SequenceConstruct": replace(NONE, holds_tensors=True),
    "SequenceInsert": replace(NONE, holds_tensors=True),
    "SequenceErase": replace(NONE, holds_tensors=True),
    "SequenceMap": replace(NONE, body=True, holds_tensors=True),
    "SplitToSequence": replace(NONE, holds_tensors=True),
    "Optional": replace(NONE, holds_tensors=True),
    "SequenceAt": replace(NONE, takes_tensors=True),
    "ConcatFromSequence": replace(NONE, takes_tensors=True),
    "OptionalGetElement": replace(NONE, holds_tensors=True, takes_tensors=True),
}
# fmt: on


def key_of(node: gs.Node) -> str:
    """The node's key in a table of operators: `Name` in the default domain, else `domain::Name`."""
    return f"{node.domain}::{node.op}" if node.domain and node.domain != "ai.onnx" else str(node.op)


def operator_traits(op_type: str, traits: Traits) -> None:
    """Adds the row of an operator (`Name`, or `domain::Name`).

    Raises:
        ValueError: it has one already.
    """
    if op_type in TRAITS:
        raise ValueError(f"{op_type} has a row of traits already")
    TRAITS[op_type] = traits


def traits_of(node: gs.Node | str) -> Traits:
    """The facts of a node's operator, or of one by its key."""
    return TRAITS.get(node if isinstance(node, str) else key_of(node), NONE)
