"""The study of bias: its scenes, its committed models, and that an audit tells one from the other."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxplain import Explainer
from onnxplain.engine.audit.findings import Audit
from onnxplain.engine.audit.summary import chosen, heat, right
from onnxplain.engine.audit.verdict import verdict
from onnxplain.engine.datasets.groups import read_groups
from onnxplain.engine.datasets.read import read_dataset
from onnxplain.engine.images.files import read_image

from studies.bias.__main__ import audited, confusion_lines, heat_lines
from studies.bias.data import (
    CLASSES,
    GROUPS,
    MODELS,
    NOTHING,
    REGIONS,
    even_scenes,
    training_scenes,
    write_scenes,
)
from studies.scenes import COLOURS


@pytest.fixture(scope="module")
def audit() -> Audit:
    return audited(40)


def test_even_scenes_have_each_class_with_each_marker_equally_often() -> None:
    scenes = list(even_scenes(5, 24))
    assert Counter((one.label, one.group) for one in scenes) == {
        (label, group): 6 for label in CLASSES for group in GROUPS
    }
    for one in scenes:
        marker, thing = one.regions["marker"], one.regions["object"]
        assert not (marker & thing).any()
        assert marker.sum() == pytest.approx(thing.sum(), rel=0.5)  # both are large, of slightly different radii
        np.testing.assert_allclose(np.median(one.image[marker], axis=0), COLOURS[one.group], atol=6)
        assert np.abs(np.median(one.image[thing], axis=0) - COLOURS[one.group]).max() > 40
        rows, columns = np.nonzero(marker)
        assert rows.max() < 48 <= columns.min()


@pytest.mark.parametrize(("agreement", "low", "high"), [(1.0, 1.0, 1.0), (0.5, 0.35, 0.65)])
def test_the_marker_agrees_as_often_as_told(agreement: float, low: float, high: float) -> None:
    scenes = list(islice(training_scenes(3, agreement), 300))
    shown = [one for one in scenes if one.label != NOTHING]
    assert 160 < len(shown) < 240
    share = np.mean([GROUPS.index(one.group) == CLASSES.index(one.label) for one in shown])
    assert low <= share <= high
    bare = next(one for one in scenes if one.label == NOTHING)
    assert (bare.group, bare.regions) == ("", {})
    again = next(training_scenes(3, agreement))
    np.testing.assert_array_equal(scenes[0].image, again.image)


def test_written_scenes_are_read_as_they_were_drawn(tmp_path: Path) -> None:
    path = write_scenes(tmp_path / "scenes", 4, seed=9)
    dataset = read_dataset(path, further=True)
    groups = read_groups(path, dataset)
    for (name, entry), drawn in zip(dataset.entries.items(), even_scenes(9, 4), strict=True):
        found = entry()
        np.testing.assert_array_equal(read_image(found.path), drawn.image)
        assert groups.of[name] == drawn.group
        assert found.labels == [drawn.label, *REGIONS]
        for region, mask in drawn.regions.items():
            np.testing.assert_array_equal(found.region(region, mask.shape), mask)


@pytest.mark.parametrize("name", MODELS)
def test_the_models_record_what_they_are(name: str) -> None:
    model = onnx.load(MODELS[name])
    assert not [node.name for node in model.graph.node if node.metadata_props or node.doc_string]
    explainer = Explainer(MODELS[name])
    assert explainer.labels == [*CLASSES, NOTHING]
    assert not explainer.preprocess_is_assumed
    scenes = list(islice(training_scenes(11, 1.0), 20))
    assert [explainer(one.image)[0].label for one in scenes] == [one.label for one in scenes]


def test_the_biased_model_goes_by_the_marker_and_the_balanced_one_by_the_shape(audit: Audit) -> None:
    for label in CLASSES:
        for group in GROUPS:
            records = chosen(audit, label, group)
            agrees = CLASSES.index(label) == GROUPS.index(group)
            assert right(records, "biased").value == agrees
            assert right(records, "balanced").value == 1
            found = {(model, region): heat(records, model, region) for model in MODELS for region in REGIONS}
            assert found["biased", "marker"].share > 5 * found["biased", "marker"].area
            assert found["biased", "object"].share < 1.5 * found["biased", "object"].area
            assert found["balanced", "object"].share > 4 * found["balanced", "object"].area
            assert found["balanced", "marker"].share < 2.5 * found["balanced", "marker"].area


def test_the_verdict_says_so(audit: Audit) -> None:
    biased, balanced = (" ".join(verdict(audit, model)) for model in MODELS)
    assert "NOT treated alike" in biased
    assert "Mistakes: 20; 10 triangle of cyan called cross, 10 cross of yellow called triangle." in biased
    assert "NOT" not in balanced
    assert "Mistakes" not in balanced


def test_the_tables_have_a_line_for_each_model_class_and_group(audit: Audit) -> None:
    lines = confusion_lines(audit)
    assert lines[:2] == [
        ["biased", "triangle", "yellow", "10", "0", "100.0"],
        ["biased", "triangle", "cyan", "0", "10", "0.0"],
    ]
    assert len(lines) == 8
    *most, uniform = heat_lines(audit)
    assert [line[:3] for line in most] == [line[:3] for line in lines]
    assert [float(text) for text in uniform[3:]] == pytest.approx([4, 4], abs=0.5)
