"""A run over four scenes, whose figures are worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from onnxplain.engine.datasets.read import read_dataset
from onnxplain.engine.evaluation.evaluator import Evaluator, Plan
from onnxplain.engine.evaluation.metrics import METRICS
from onnxplain.engine.evaluation.run import Evaluation, evaluate
from onnxplain.engine.evaluation.subject import Settings
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError

from .colours import GAIN, PREPROCESS, SCENES, write_scenes

TRUTH = ("localisation", "max-box", "pointing", "rejection", "energy")


def plan(folder: Path, metrics: tuple[str, ...], methods: tuple[str, ...] = ("grad-cam",), **more: object) -> Plan:
    # Without a tolerance: in pictures of 20 x 30 pixels 15 are too many.
    more = {"settings": Settings(tolerance=0, steps=4), "arguments": {"preprocess": PREPROCESS}} | more
    return Plan(folder / "colours.onnx", methods, metrics, **more)  # type: ignore[arg-type]


def run(folder: Path, metrics: tuple[str, ...], methods: tuple[str, ...] = ("grad-cam",), **more: object) -> Evaluation:
    return evaluate(Evaluator(plan(folder, metrics, methods, **more)), read_dataset(folder / "boxes.csv"), folder)


def shares(name: str) -> np.ndarray:
    """The softmax of the scores of red, green and blue."""
    areas = {colour: (x1 - x0) * (y1 - y0) for colour, x0, y0, x1, y1 in SCENES[name]}
    scores = np.exp([GAIN * areas.get(colour, 0) / 600 for colour in ("red", "green", "blue")])
    return np.asarray(scores / scores.sum())


def test_maps_that_are_the_objects_are_right_and_the_centre_is_not(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    found = run(tmp_path, TRUTH)
    right, centre = found.figures["grad-cam"], found.figures["centre"]
    # Six cases; of a.png green, and of c.png red, are second.
    assert right["top-1 class error"] == right["top-1 box error"] == pytest.approx(2 / 6, abs=1e-12)
    assert right["top-5 class error"] == right["top-5 box error"] == 0
    assert [right[f"box {at}"] for at in (0.3, 0.5, 0.7)] == [1, 1, 1]
    assert right["MaxBoxAccV2"] == right["pointing"] == right["pointing, difficult"] == 1
    assert right["energy inside"] == pytest.approx(1, abs=1e-6)
    # Classes that are not there have flat maps, which any threshold above 0 rejects; each present one peaks at
    # its weight, the gradient of the score by one pixel.
    assert right["pointing, rejecting"] == 1
    assert right["threshold"] == pytest.approx(GAIN / 600, rel=1e-6)
    # The four pixels in the middle are at x 14 and 15, y 9 and 10: of the boxes blue of c.png alone has x 14.
    assert centre["pointing"] == pytest.approx((0 + 0 + 1 / 2) / 3, abs=1e-12)
    assert centre["pointing, difficult"] == pytest.approx((0 + 0 + 1 / 2) / 3, abs=1e-12)
    assert "deletion" not in centre
    assert (found.measured, found.resumed, found.failures) == (4, 0, [])


def test_figures_of_changed_inputs(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    found = run(tmp_path, ("drop", "deletion", "insertion", "road", "occlusion"))
    assert set(found.figures) == {"grad-cam"}  # no metric has a baseline
    figures = found.figures["grad-cam"]
    # Masked by its map, an image keeps the class's own pixels and loses the others: the probability rises or stays.
    assert figures["average drop"] == pytest.approx(0, abs=1e-6)
    pairs = {(case.image, case.label): case.value for case in found.cases if case.metric == "drop"}
    assert pairs["a.png", "red"][0] == pytest.approx(shares("a.png")[0], rel=1e-6)
    alone = np.exp(GAIN * 100 / 600) / (np.exp(GAIN * 100 / 600) + 2)
    assert pairs["a.png", "red"][1] == pytest.approx(alone, rel=1e-6)
    # Deletion of d.png in four steps: a quarter of the pixels is more than the 64 red ones, so all are gone at once.
    deletion = {(case.image, case.label): case.value for case in found.cases if case.metric == "deletion"}
    start = shares("d.png")[0]
    assert deletion["d.png", "red"] == pytest.approx(((start + 1 / 3) / 2 + 3 * 1 / 3) / 4, rel=1e-6)
    assert figures["insertion"] > figures["deletion"]
    assert figures["ROAD hottest"] < figures["ROAD coldest"]
    assert figures["agrees with occlusion"] > 0.5


def test_maps_of_models_with_other_weights_differ(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    found = run(tmp_path, ("randomisation",), ("grad-cam", "gradient"))
    for method in ("grad-cam", "gradient"):
        values = [case.value for case in found.cases if case.method == method]
        assert all(len(value) == 3 for value in values)
        assert all(one is None or 0 <= one <= 1 for value in values for one in value)
    assert set(METRICS["randomisation"].columns) <= set(found.figures["grad-cam"])


def test_a_run_that_was_cut_off_goes_on_and_finds_the_same(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    whole = run(tmp_path, TRUTH)
    files = {name: (tmp_path / name).read_bytes() for name in ("results.jsonl", "summary.csv", "cases.csv")}
    head, first, second, *_ = files["results.jsonl"].splitlines(keepends=True)
    (tmp_path / "results.jsonl").write_bytes(head + first + second[:20])  # killed in the middle of a line
    again = run(tmp_path, TRUTH)
    assert (again.measured, again.resumed) == (4, 1)
    assert again.figures == whole.figures
    assert {name: (tmp_path / name).read_bytes() for name in files} == files


def test_failures_are_listed_and_tried_again(tmp_path: Path) -> None:
    write_scenes(
        tmp_path,
        gone=["gone.png", "red", "1", "1", "2", "2"],
        broken=["broken.png", "red", "1", "1", "2", "2"],
        empty=["b.png", "red", "5", "5", "5", "9"],
        outside=["d.png", "green", "50", "50", "60", "60"],
    )
    (tmp_path / "broken.png").write_bytes(b"no picture")
    found = run(tmp_path, TRUTH)
    assert (found.measured, len(found.failures)) == (2, 4)
    texts = sorted(str(failure) for failure in found.failures)
    assert any("gone.png: cannot be read" in text for text in texts)
    assert any("broken.png: not a JPEG" in text for text in texts)
    assert any("line 10: the box [5.0, 5.0, 5.0, 9.0] of 'red' is empty" in text for text in texts)
    assert any("d.png: the box" in text or "d.png: the object 'green' has no pixel" in text for text in texts)
    write_scenes(
        tmp_path, gone=["gone.png", "red", "1", "1", "2", "2"], broken=["broken.png", "red", "1", "1", "2", "2"]
    )
    (tmp_path / "gone.png").write_bytes((tmp_path / "d.png").read_bytes())
    again = run(tmp_path, TRUTH)
    assert (again.measured, again.resumed, len(again.failures)) == (5, 2, 1)


def test_results_of_another_run_are_refused(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    run(tmp_path, ("energy",))
    before = (tmp_path / "results.jsonl").read_bytes()
    with pytest.raises(UsageError, match="another run, which differs in methods, settings"):
        run(tmp_path, ("energy",), ("grad-cam", "layer-cam"), settings=Settings())
    with pytest.raises(UsageError, match=r"another run, which differs in methods;.*-o"):
        run(tmp_path, ("energy",), ("layer-cam",))
    assert (tmp_path / "results.jsonl").read_bytes() == before
    (tmp_path / "results.jsonl").write_text("something else\n")
    with pytest.raises(UsageError, match="holds no results of this command"):
        run(tmp_path, ("energy",))


def test_a_mapping_renames_joins_and_leaves_out(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    text = (tmp_path / "boxes.csv").read_text()
    (tmp_path / "boxes.csv").write_text(text.replace("red", "warm").replace("green", "cold").replace("blue", "sea"))
    with pytest.raises(
        UsageError, match=r"the model's labels lack 3 classes of the data set \('warm', 'cold', 'sea'\)"
    ):
        run(tmp_path, ("energy",))
    with pytest.raises(UsageError, match=r"map\.json: lacks the class 'sea'"):
        run(tmp_path, ("energy",), mapping={"warm": ["red"], "cold": [1]}, mapping_file=Path("map.json"))
    found = run(tmp_path, ("energy", "pointing"), mapping={"warm": ["red", 2], "cold": [1], "sea": []})
    energy = {
        (case.image, case.label): case.value
        for case in found.cases
        if (case.method, case.metric) == ("grad-cam", "energy")
    }
    assert set(energy) == {
        ("a.png", "warm"),
        ("a.png", "cold"),
        ("b.png", "cold"),
        ("c.png", "warm"),
        ("d.png", "warm"),
    }
    # Of the two classes that stand for it, blue has the higher score in c.png, and lies elsewhere.
    assert energy["c.png", "warm"] == pytest.approx(0, abs=1e-6)
    assert energy["a.png", "warm"] == pytest.approx(1, abs=1e-6)


def test_classes_without_a_place_have_no_figures_that_need_one(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    (tmp_path / "boxes.csv").write_text("image,label\na.png,red\nb.png,green\n")
    found = run(tmp_path, ("pointing", "localisation", "drop"))
    figures = found.figures["grad-cam"]
    assert math.isnan(figures["pointing"])
    assert math.isnan(figures["top-1 box error"])
    assert figures["increase"] == 0.5  # of a.png, where green goes


def test_methods_of_many_runs_stand_beside_those_in_the_graph(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    found = run(tmp_path, ("pointing",), ("occlusion", "grad-cam", "score-cam"))
    assert list(found.figures) == ["occlusion", "grad-cam", "score-cam", "centre"]
    assert found.figures["occlusion"]["pointing"] == found.figures["grad-cam"]["pointing"] == 1


@pytest.mark.parametrize(
    ("metrics", "more", "kind", "message"),
    [
        (("pointng",), {}, UsageError, "unknown metric 'pointng'; did you mean 'pointing'"),
        ((), {}, UsageError, "no metric given"),
        (("energy",), {"methods": ("gradcam",)}, UsageError, "gradcam"),
        (("deletion",), {"crops": 10}, UsageError, "metric 'deletion' is of one input, and ten crops are ten"),
        (("energy",), {"crops": 10}, UsageError, "ten crops need an image that is resized to more"),
        (("energy",), {"arguments": {"layer": ["maps", "features"]}}, UsageError, "measured at one layer"),
        (("energy",), {"arguments": {"labels": ["red"]}}, UsageError, "1 labels for a model of 3 classes"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    tmp_path: Path, metrics: tuple[str, ...], more: dict[str, object], kind: type[OnnxplainError], message: str
) -> None:
    write_scenes(tmp_path)
    with pytest.raises(kind, match=message):
        Evaluator(plan(tmp_path, metrics, **more))  # type: ignore[arg-type]


def test_the_records_are_plain_json(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    run(tmp_path, tuple(name for name in METRICS if name != "randomisation"))
    for line in (tmp_path / "results.jsonl").read_text().splitlines():
        assert isinstance(json.loads(line), dict)
