"""The node tests whose gradient is refused, by operator, with the reason: the only ones that may be.

A reason without tests is that of an operator which has no differentiable node test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Why some node tests of an operator are refused."""

    operator: str
    reason: str
    tests: Sequence[str]


REFUSED = [
    Refusal(
        "AffineGrid",
        "its function body branches on the length of the size, so the ranks of tensors are known only at run time",
        [
            "test_affine_grid_2d_align_corners_expanded",
            "test_affine_grid_2d_expanded",
            "test_affine_grid_3d_align_corners_expanded",
        ],
    ),
    Refusal(
        "Bernoulli",
        "the output depends on the input only through a comparison, so its derivative is zero",
        ["test_bernoulli_seed_expanded"],
    ),
    Refusal("BitCast", "it reinterprets bits, which is not differentiable", []),
    Refusal(
        "DequantizeLinear",
        "block scales have no gradient; scales of a tensor or an axis have one, and so does the quantised input",
        ["test_dequantizelinear_blocked"],
    ),
    Refusal(
        "DynamicQuantizeLinear",
        "without the quantised output, the scale has no straight-through gradient",
        [
            "test_dynamicquantizelinear",
            "test_dynamicquantizelinear_max_adjusted",
            "test_dynamicquantizelinear_min_adjusted",
        ],
    ),
    Refusal(
        "Loop",
        "it carries an optional, which no gradient passes through",
        ["test_loop16_seq_none"],
    ),
    Refusal(
        "Resize",
        "the scales have a gradient only in mode linear without antialiasing; the first input has one in every mode",
        [
            "test_resize_downsample_scales_cubic",
            "test_resize_downsample_scales_cubic_A_n0p5_exclude_outside",
            "test_resize_downsample_scales_cubic_antialias",
            "test_resize_downsample_scales_linear_antialias",
        ],
    ),
    Refusal(
        "Scan",
        "onnx's version converter drops the batch axis that Scan had in opset 8",
        ["test_scan_sum"],
    ),
]
