"""The page's table of TensorRT's matrix is up to date, and what it says of the files that onnxplain writes holds."""

from __future__ import annotations

from onnx import helper

from .tensorrt import PAGE, appended, matrix, page


def test_the_page_is_up_to_date() -> None:
    """Otherwise run `python -m tests.runtimes.tensorrt`."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_matrix_as_it_was_published() -> None:
    assert len(matrix()) == 200
    assert matrix()["Conv"].types == {"FP32", "FP16", "BF16"}
    assert not matrix()["MaxUnpool"].types
    assert "indices" in matrix()["MaxPool"].condition


def test_the_conditions_are_met() -> None:
    for node, _, constants in appended():
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if node.op_type.startswith("Reduce") or node.op_type in ("Squeeze", "Unsqueeze"):
            assert "axes" in attributes or len(node.input) < 2 or node.input[1] in constants, node.name
        elif node.op_type == "Resize":
            assert attributes["mode"] in (b"linear", b"nearest")
            assert not attributes.get("antialias")
        elif node.op_type == "TopK":
            assert attributes.get("sorted", 1) == 1
        else:  # a condition that is not looked at here
            assert not matrix()[node.op_type].condition, node.op_type
