"""Every fact of every row of the table of operator facts, computed by running the operator or from its schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest
from onnxplain.graph_rewrites.graph.operator_traits import TRAITS, Traits

from .facts import axes, functions, layers, moving, passing, pointwise, quantised, sums, types
from .facts.changes import random
from .operands import MS, OPERATORS, Operator

ROWS = dict(TRAITS)  # the package's own, whatever plug-ins other tests add
FACTS: dict[str, Callable[[Operator], object]] = {
    "pointwise": pointwise.pointwise,
    "one_to_one": passing.one_to_one,
    "rectifies": functions.rectifies,
    "gates": functions.gates,
    "odd": functions.odd,
    "singular": functions.singular,
    "final": functions.final,
    "adds": sums.adds,
    "multiplies": sums.multiplies,
    "scales": sums.scales,
    "affine": functions.affine,
    "averages": sums.averages,
    "values": moving.values,
    "weighted": layers.weighted,
    "convolves": layers.convolves,
    "pools": layers.pools,
    "resamples": layers.resamples,
    "normalises": layers.normalises,
    "channels": axes.channels,
    "keeps_axes": axes.keeps_axes,
    "makes_maps": axes.makes_maps,
    "recurrent": layers.recurrent,
    "body": types.body,
    "random": random,
    "finite": axes.finite,
    "quantised": quantised.quantised,
    "reads_quantised": quantised.reads_quantised,
    "output_scale": quantised.output_scale,
    "keeps_scale": quantised.keeps_scale,
    "holds_tensors": types.holds_tensors,
    "takes_tensors": types.takes_tensors,
}
# Of bodies, sequences and optionals the schema tells all that a row says.
BY_SCHEMA = {
    *("If", "Loop", "Scan", "SequenceConstruct", "SequenceInsert", "SequenceErase", "SequenceMap", "SplitToSequence"),
    *("SequenceAt", "ConcatFromSequence", "Optional", "OptionalGetElement"),
}
# Operators with operands of which the table says nothing: what asks by an operator's name has no use for them.
NO_ROW = {
    *("AffineGrid", "Attention", "CausalConvWithState", "CenterCropPad", "Col2Im", "CumProd", "CumSum", "DFT"),
    *("DeformConv", "Det", "Einsum", "EyeLike", "GlobalLpPool", "GridSample", "Hardmax", "LinearAttention"),
    *("LpNormalization", "MaxRoiPool", "MaxUnpool", "MeanVarianceNormalization", "MelWeightMatrix", "OneHot", "Range"),
    *("NegativeLogLikelihoodLoss", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceProd"),
    *("ReduceSumSquare", "RoiAlign", "RotaryEmbedding", "STFT", "ScatterElements", "ScatterND", "TensorScatter"),
    *("SoftmaxCrossEntropyLoss", "ai.onnx.ml::ArrayFeatureExtractor", "ai.onnx.ml::TreeEnsemble"),
    *(f"ai.onnx.preview.training::{op}" for op in ("Adagrad", "Adam", "Momentum")),
    *(f"{MS}{op}" for op in ("Attention", "BiasSoftmax", "BiasSplitGelu", "DynamicQuantizeMatMul")),
    *(f"{MS}{op}" for op in ("EmbedLayerNormalization", "FusedGemm", "FusedMatMul", "FusedMatMulActivation")),
    *(f"{MS}{op}" for op in ("GemmFastGelu", "GroupNorm", "GroupQueryAttention", "MatMulNBits", "MultiHeadAttention")),
    *(f"{MS}{op}" for op in ("RotaryEmbedding", "TransposeMatMul")),
}
# Its second tensor holds regions: exchanged for other values, they are out of range.
REGIONS = {"MaxRoiPool"}
# Functions are run where they are not defined, too.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.mark.parametrize("key", ROWS)
def test_a_row_says_what_computing_gives(key: str) -> None:
    operator = OPERATORS.get(key, Operator(key))
    assert Traits(**{name: fact(operator) for name, fact in FACTS.items()}) == ROWS[key]  # type: ignore[arg-type]


def test_every_fact_is_computed_of_every_row() -> None:
    assert list(FACTS) == [field.name for field in fields(Traits)]
    assert set(ROWS) - set(OPERATORS) == BY_SCHEMA
    assert set(OPERATORS) - set(ROWS) == NO_ROW


@pytest.mark.parametrize("key", sorted(NO_ROW - REGIONS))
def test_an_operator_without_a_row_neither_maps_each_position_nor_moves_all_values(key: str) -> None:
    assert not pointwise.pointwise(OPERATORS[key])
    assert moving.values(OPERATORS[key]) in ("picked", None)
