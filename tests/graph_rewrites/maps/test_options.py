from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from onnxplain.graph_rewrites.errors import UsageError
from onnxplain.graph_rewrites.maps.options import check_options, options_of
from onnxplain.graph_rewrites.model.metadata import read_metadata
from onnxplain.graph_rewrites.rewrite import rewrite

from ..messages import assert_one_line
from ..networks import explain, images, small_cnn


def build(
    layer: Any,
    *,
    relu: bool = True,
    power: float = 1.0,
    steps: int = 8,
    mode: Literal["mean", "max"] = "mean",
) -> None:
    """A method with an option of every type."""


def fit(option: str, value: Any) -> Any:
    return check_options("mine", build, {option: value})[option]


def test_the_options_are_the_keyword_only_parameters() -> None:
    assert options_of(build) == {"relu": True, "power": 1.0, "steps": 8, "mode": "mean"}
    assert check_options("mine", build, None) == check_options("mine", build, {}) == {}


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        *(("relu", value, True) for value in (True, "true", "Yes", "ON", "1", 1, np.True_)),
        *(("relu", value, False) for value in (False, "False", "no", "off", "0", 0, np.False_)),
        *(("power", value, 2.0) for value in (2, 2.0, "2", "2.0", "2e0", np.float32(2))),
        *(("steps", value, 3) for value in (3, 3.0, "3", np.int64(3))),
        ("mode", "max", "max"),
    ],
)
def test_a_value_takes_the_options_type_also_from_text(option: str, value: Any, expected: Any) -> None:
    fitted = fit(option, value)
    assert fitted == expected
    assert type(fitted) is type(expected)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("relu", "maybe", "option 'relu' of 'mine' is on or off; not 'maybe'"),
        ("relu", 2, "option 'relu' of 'mine' is on or off; not 2"),
        ("relu", None, "option 'relu' of 'mine' is on or off; not None"),
        ("power", "much", "option 'power' of 'mine' is a number; not 'much'"),
        ("power", True, "option 'power' of 'mine' is a number; not True"),
        ("power", [1.0], "option 'power' of 'mine' is a number; not [1.0]"),
        ("steps", "2.5", "option 'steps' of 'mine' is a whole number; not '2.5'"),
        ("steps", 2.5, "option 'steps' of 'mine' is a whole number; not 2.5"),
        ("steps", False, "option 'steps' of 'mine' is a whole number; not False"),
        ("steps", float("inf"), "option 'steps' of 'mine' is a whole number; not inf"),
        ("steps", float("nan"), "option 'steps' of 'mine' is a whole number; not nan"),
        ("mode", "median", "option 'mode' of 'mine' is one of mean, max; not 'median'"),
        ("modes", "max", "method 'mine' has no option 'modes'; did you mean 'mode'"),
        ("layer", "x", "method 'mine' has no option 'layer'"),
    ],
)
def test_what_does_not_fit_is_a_usage_error(option: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        fit(option, value)
    assert_one_line(error, message)


def test_a_method_without_options_says_so() -> None:
    with pytest.raises(UsageError) as error:
        rewrite(small_cnn(), method="layer-cam", options={"relu": False})
    assert_one_line(error, "method 'layer-cam' has no option 'relu'; it has none")


def test_options_as_text_make_the_same_model_and_are_recorded() -> None:
    model = small_cnn()
    typed = rewrite(model, options={"relu": False, "pooling": "max"})
    assert rewrite(model, options={"relu": "off", "pooling": "max"}) == typed
    record = read_metadata(typed) or {}
    assert record["options"] == {"relu": False, "pooling": "max"}
    assert "options" not in (read_metadata(rewrite(model)) or {})
    assert explain(typed, images(model), [[0, 1, 2, 3, 4]] * 2)["heatmap"].min() == -1
