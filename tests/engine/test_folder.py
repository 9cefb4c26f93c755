"""Images explained into a folder: what is drawn, what is kept, and what is drawn again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnxplain.engine.drawing import Drawing, Result
from onnxplain.engine.explainer import Explainer
from onnxplain.engine.folder import Written, explain_folder, identity_of
from onnxplain.engine.runtime.runner import BATCH, Runner
from onnxplain.graph_rewrites.errors import OnnxplainError, UsageError

from ..graph_rewrites.networks import small_cnn

HOW: dict[str, Any] = {"preprocess": "raw,scale=1/255"}
COUNT = BATCH + 4


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Photos, two of them of the same name, and the model beside them."""
    onnx.save(small_cnn(), tmp_path / "model.onnx")
    names = ["one/a.png", "two/a.png", *(f"two/{index:02}.png" for index in range(COUNT - 2))]
    for index, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, index)
    return [tmp_path / name for name in names]


def write(path: Path, seed: int) -> None:
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8))


def run(
    paths: Sequence[Path], folder: Path, *, target: Any = "top2", how: dict[str, Any] = HOW, **more: Any
) -> Written:
    """Explains into the folder as the command does."""
    folder.mkdir(exist_ok=True)
    model = paths[0].parents[1] / "model.onnx"
    drawing = Drawing(model, target, {}, (".png", ".npy"), how)
    return explain_folder(drawing, Explainer(model, **how), paths, folder, **more)


def drawn_now(paths: Sequence[Path], folder: Path, **more: Any) -> list[str]:
    """The names of the files that a run writes, the journal's left out."""
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    run(paths, folder, **more)
    after = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    return sorted(name for name in after if before.get(name) != after[name] and name.endswith(".png"))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def named(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the pictures' names alone."""
    return [{**row, "overlay": Path(row["overlay"]).name} for row in rows]


def stopping_after(count: int) -> Any:
    def progress(steps: Iterable[Any], total: int) -> Iterator[Any]:
        for index, step in enumerate(steps):
            if index == count:
                raise KeyboardInterrupt
            yield step

    return progress


@pytest.mark.parametrize("count", [0, 3, BATCH])
def test_a_run_that_was_cut_off_goes_on(paths: list[Path], tmp_path: Path, count: int) -> None:
    whole = run(paths, tmp_path / "whole")
    folder = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        run(paths, folder, progress=stopping_after(count))
    before = contents(folder)
    assert len(before) == 1 + 4 * count  # two classes of each image, and two files of each
    seen: list[int] = []

    def counted(steps: Iterable[Any], total: int) -> Iterable[Any]:
        seen.append(total)
        return steps

    again = run(paths, folder, progress=counted)
    assert seen == [COUNT - count]
    assert named(again.rows) == named(whole.rows)
    assert contents(folder) == contents(tmp_path / "whole")
    assert Path(again.rows[2]["overlay"]).stem.endswith("_2")  # the second photo that is called a.png
    assert not again.failures


def test_images_that_failed_or_changed_or_lost_a_picture_are_drawn_again(paths: list[Path], tmp_path: Path) -> None:
    paths, folder = paths[:4], tmp_path / "out"
    good = paths[1].read_bytes()
    paths[1].write_bytes(b"no picture")
    found = run(paths, folder, target=0)
    assert [Path(row["image"]) for row in found.rows] == [paths[0], *paths[2:]]
    (failure,) = found.failures
    assert "a.png: not a JPEG" in str(failure)
    assert drawn_now(paths, folder, target=0) == []
    paths[1].write_bytes(good)
    assert drawn_now(paths, folder, target=0) == ["a_0_2.png"]
    write(paths[0], 99)
    (folder / "00_0.npy").unlink()
    assert drawn_now(paths, folder, target=0) == ["00_0.png", "a_0.png"]
    assert [Path(row["overlay"]).name for row in run(paths, folder, target=0).rows] == [
        *("a_0.png", "a_0_2.png", "00_0.png", "01_0.png"),
    ]


def test_the_same_run_over_other_images_keeps_what_is_there(paths: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run(paths[:1], folder, target=0)
    assert drawn_now(paths[1:2], folder, target=0) == ["a_0_2.png"]
    assert drawn_now(paths[:2], folder, target=0) == []
    shutil.move(folder, tmp_path / "moved")
    (row,) = run(paths[:1], tmp_path / "moved", target=0).rows
    assert row["overlay"] == str(tmp_path / "moved" / "a_0.png")


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"target": 1}, ["a_1.png"]),
        ({"how": HOW | {"method": "layer-cam"}}, ["a_0.png"]),
        ({"how": {"preprocess": "raw"}}, ["a_0.png"]),
    ],
)
def test_another_run_begins_a_new_journal_and_says_so(
    paths: list[Path], tmp_path: Path, more: dict[str, Any], names: list[str]
) -> None:
    folder, notes = tmp_path / "out", list[str]()
    run(paths[:2], folder, target=0, tell=notes.append)
    assert not notes
    before = contents(folder)
    with pytest.raises(UsageError, match="holds results of another run, which differs in"):
        run(paths[:1], folder, **{"target": 0, **more}, anew=False)
    assert contents(folder) == before
    assert drawn_now(paths[:1], folder, **{"target": 0, **more}, tell=notes.append) == names
    (note,) = notes
    assert "belonged to another run, which differs in" in note
    records = [json.loads(line) for line in (folder / "explanations.jsonl").read_text().splitlines()[1:]]
    assert [record["image"] for record in records] == [str(paths[0])]
    assert contents(folder)["a_0_2.png"] == before["a_0_2.png"]


def test_a_model_is_known_by_what_explains_it(paths: list[Path]) -> None:
    model = paths[0].parents[1] / "model.onnx"
    drawing = Drawing(model, 0, {}, arguments=HOW)
    one = identity_of(drawing, Explainer(model, **HOW))
    assert one == identity_of(drawing, Explainer(onnx.load(model), **HOW))
    onnx.save(small_cnn(seed=1), model)
    other = identity_of(drawing, Explainer(model, **HOW))
    assert [key for key in one if one[key] != other[key]] == ["explained model"]


def test_images_may_be_drawn_elsewhere_and_in_any_order(paths: list[Path], tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    worker = Drawing(model, "top2", {}, (".png", ".npy"), HOW)(None)
    paths[3].write_bytes(b"")

    def elsewhere(todo: Sequence[Path]) -> Iterator[tuple[Path, Result]]:
        return ((path, worker(path)) for path in reversed(todo))

    with pytest.raises(KeyboardInterrupt):
        run(paths, tmp_path / "there", draw=elsewhere, progress=stopping_after(5))
    there, here = run(paths, tmp_path / "there"), run(paths, tmp_path / "here")  # begun there and gone on with here
    assert [row["image"] for row in there.rows] == [row["image"] for row in here.rows]
    assert list(map(str, there.failures)) == list(map(str, here.failures))
    for one, other in zip(there.rows, here.rows, strict=True):
        assert one["score"] == pytest.approx(other["score"], rel=1e-5)


def test_what_does_not_fit_the_model_is_refused_and_leaves_no_journal(paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="out of range"):
        run(paths, tmp_path / "out", target=9)
    assert not contents(tmp_path / "out")
    how = HOW | {"method": "integrated-gradients", "options": {"steps": 0}}
    with pytest.raises(UsageError, match="at least one step"):
        run(paths, tmp_path / "out", how=how)
    with pytest.raises(UsageError, match="at least one step"):  # as an actor tells it
        run(paths, tmp_path / "out", how=how, draw=lambda todo: [(todo[0], UsageError("takes at least one step"))])


def test_an_image_on_which_the_model_overflows_does_not_stop_the_others(paths: list[Path], tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["": 17]>
    exponential (float[N, 3, H, W] image) => (float[N, 3] scores)
    <float[3, 3, 1, 1] kernel = {1, 0, 0, 0, 1, 0, 0, 0, 1}>
    {
        maps = Conv (image, kernel)
        features = Exp (maps)
        pooled = GlobalAveragePool (features)
        scores = Flatten (pooled)
    }
    """
    onnx.save(onnx.parser.parse_model(text), tmp_path / "model.onnx")
    for index, path in enumerate(paths[:3]):
        cv2.imwrite(str(path), np.full((4, 4, 3), 255 if index == 1 else 10, np.uint8))
    found = run(paths[:3], tmp_path / "out", target=0, how={"preprocess": "raw"})
    assert [Path(row["image"]) for row in found.rows] == [paths[0], paths[2]]
    (failure,) = found.failures
    assert f"{paths[1]}: the map of target 0 is not finite" in str(failure)


def test_what_fails_together_is_explained_one_by_one(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(paths, tmp_path / "whole", target=0)
    together = Runner.run

    def short_of_memory(self: Runner, inputs: dict[str, np.ndarray], target: Any) -> dict[str, np.ndarray]:
        if len(inputs[self.image]) > 1:
            raise OnnxplainError("out of memory")
        return together(self, inputs, target)

    monkeypatch.setattr(Runner, "run", short_of_memory)
    found = run(paths, tmp_path / "out", target=0)
    assert not found.failures
    for one, other in zip(found.rows, whole.rows, strict=True):
        assert one["score"] == pytest.approx(other["score"], rel=1e-5)


def test_a_score_that_is_not_finite_is_a_failure(paths: list[Path], tmp_path: Path) -> None:
    """As of a class that the model rules out."""
    model = small_cnn()
    (scores,) = model.graph.output
    ruled_out = onnx.numpy_helper.from_array(np.array([-np.inf, 0, 0, 0, 0], np.float32), "ruled out")
    model.graph.initializer.append(ruled_out)
    model.graph.node.append(onnx.helper.make_node("Add", [scores.name, "ruled out"], ["masked"]))
    scores.name = "masked"
    onnx.save(model, tmp_path / "model.onnx")
    for _ in range(2):
        found = run(paths[:1], tmp_path / "out", target=0)
        assert not found.rows
        assert [f"{paths[0]}: the score of target 0 is -inf" in str(failure) for failure in found.failures] == [True]
