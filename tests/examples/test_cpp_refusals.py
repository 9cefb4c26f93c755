"""What the C++ host cannot do, it says in one line that names the file, the problem and the remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxplain
import onnxruntime
import pytest
from onnx import TensorProto
from onnxplain.engine import embedded
from onnxplain.graph_rewrites.model.metadata import KEY

from ..graph_rewrites.networks import Net, small_cnn
from .cpp_program import Program, Run, cast_cnn, save, small

pytestmark = pytest.mark.deployment


def assert_refused(run: Run, path: Path, problem: str) -> None:
    assert run.stdout == ""
    assert run.stderr.startswith(f"error: {path}: ")
    assert problem in run.stderr
    assert run.stderr.count("\n") == 1


def test_images_that_cannot_be_read_do_not_stop_the_others(program: Program, ppm: Path, tmp_path: Path) -> None:
    files = {
        "cut.ppm": (ppm.read_bytes()[:1000], "cut off: it has 973 of 405900 bytes of pixels"),
        "header.ppm": (b"P6\n10", "damaged header"),
        "huge.ppm": (b"P6\n99999999999999999999 99999999\n255\n", "over 100000000"),
        "none.ppm": (b"P6 0 5 255\n", "no pixels"),
        "deep.ppm": (b"P6\n1 1\n65535\n123456", "maximum 65535, not 255"),
        "photo.png": (embedded.PHOTO.read_bytes(), "not a PPM (P6) file; convert it"),
        "empty.ppm": (b"", "not a PPM"),
        "text.ppm": (b"P3\n1 1\n255\n1 2 3\n", "not a PPM (P6)"),
    }
    for name, (content, _) in files.items():
        (tmp_path / name).write_bytes(content)
    problems = {tmp_path / name: problem for name, (_, problem) in files.items()}
    problems |= {tmp_path / "missing.ppm": "cannot be read", tmp_path: "cannot be read"}
    model = small(tmp_path / "model.onnx")
    run = program(model, ppm, *problems, ppm, "--threads", 2, code=1)
    assert [line.split("\t")[0] for line in run.stdout.splitlines()] == [str(ppm)] * 2
    lines = run.stderr.splitlines()
    assert len(lines) == len(problems)
    for line, (path, problem) in zip(lines, problems.items(), strict=True):
        assert line.startswith(f"error: {path}: ")
        assert problem in line
        assert ";" in line  # the remedy


def test_images_too_elongated_to_be_cropped(plain: Program, tmp_path: Path) -> None:
    strip = tmp_path / "strip.ppm"
    strip.write_bytes(b"P6\n100000 1\n255\n" + bytes(300_000))
    model = small(tmp_path / "model.onnx", "imagenet,size=24x24,resize=256")
    assert_refused(plain(model, strip, code=1), strip, "too elongated to be cropped; cut it first")


def explained(**options: object) -> onnx.ModelProto:
    return onnxplain.rewrite(small_cnn(size=(24, 24)), **options)  # type: ignore[arg-type]


def with_further_input() -> onnx.ModelProto:
    net = Net()
    x = net.add("Relu", net.conv(net.input("image", ["N", 3, 24, 24]), 3, 4))
    net.output(net.add("Add", net.head(x, 4, 5, out="scores"), net.input("bias", ["N", 5]), out="logits"), ["N", 5])
    return onnxplain.rewrite(net.model())


def without_heatmap() -> onnx.ModelProto:
    """A model whose record names an output that was taken out since."""
    model = explained()
    kept = [output for output in model.graph.output if output.name != "heatmap"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return model


@pytest.mark.parametrize(
    ("make", "preprocess", "problem"),
    [
        (small_cnn, None, "is not an explained model; make one with: onnxplain rewrite"),
        (small_cnn, "tf", "is not an explained model"),
        (explained, None, "records no preprocessing"),
        (lambda: explained(outputs=["score"]), "tf", "lacks the output 'heatmap'"),
        (lambda: explained(outputs=["heatmap"]), "tf", "lacks the output 'score'"),
        (without_heatmap, "tf", "lacks the output 'heatmap'"),
        (explained, "tf,size=32x32", "its input is 24x24"),
        (explained, "raw,channels=GRAY", "has 3 channels, its preprocessing 1"),
        (lambda: onnxplain.rewrite(cast_cnn(TensorProto.UINT8)), "tf", "takes uint8 pixels"),
        (lambda: onnxplain.rewrite(cast_cnn(TensorProto.INT32)), "tf", "is no image"),
        (lambda: onnxplain.rewrite(small_cnn(4, size=(24, 24))), "tf", "takes 4 images at a time"),
        (with_further_input, "tf", "has a further input 'bias'"),
        (lambda: onnxplain.rewrite(small_cnn(size=(16,))), "tf", "takes no images"),
    ],
)
def test_models_that_it_cannot_serve(
    program: Program,
    ppm: Path,
    tmp_path: Path,
    make: Callable[[], onnx.ModelProto],
    preprocess: str | None,
    problem: str,
) -> None:
    path = save(make(), tmp_path / "model.onnx", preprocess)
    assert_refused(program(path, ppm, code=1), path, problem)


def edited(path: Path, edit: Callable[[str], str]) -> Path:
    """A copy of an explained model with another record."""
    model = onnx.load(path)
    entry = next(entry for entry in model.metadata_props if entry.key == KEY)
    before, entry.value = entry.value, edit(entry.value)
    assert entry.value != before
    onnx.save(model, path.with_name("edited.onnx"))
    return path.with_name("edited.onnx")


def test_labels_come_through_however_json_spells_them(program: Program, ppm: Path, tmp_path: Path) -> None:
    label = 'Katze "\\/" é 猫 😺'
    path = small(tmp_path / "model.onnx", labels=[label] * 5)
    spelled_out = edited(path, lambda text: json.dumps(json.loads(text), indent=2))
    assert b"\\ud83d\\ude3a" in spelled_out.read_bytes()
    for model in (path, spelled_out):
        assert f"\t{label}\t" in program(model, ppm).stdout


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("}}", "}", "no JSON, an object is not closed at byte"),
        ("}}", "}}x", "no JSON, more follows"),
        ("1.0", "01.0", "no JSON"),
        ("1.0", "1e999", "a number out of range"),
        ('"grad-cam"', r'"\q"', "an unknown escape"),
        ('"grad-cam"', r'"\ud800"', "half of a surrogate pair"),
        ('"grad-cam"', '"\n"', "a control character"),
        ('"grad-cam"', "NaN", "no JSON"),
        ('"grad-cam"', "[" * 200, "too deeply nested"),
        ('"grad-cam"', '1, "method": 2', "a key stands twice"),
        ('"grad-cam"', "7", "something else where a text belongs"),
        ('"names"', '"nombres"', "no 'names'"),
        ('"squash"', '"stretch"', "fit 'stretch' is not known"),
        ('"fit"', '"gamma": 2, "fit"', "'gamma' is not known"),
        ('"std": [1.0]', '"std": [0.0]', "scale or std is zero"),
        ('"size": null', '"size": [24.5, 24]', "where an integer belongs"),
    ],
)
def test_records_that_are_damaged(
    program: Program, ppm: Path, tmp_path: Path, old: str, new: str, problem: str
) -> None:
    path = edited(small(tmp_path / "model.onnx", "raw"), lambda text: text.replace(old, new))
    assert_refused(program(path, ppm, code=1), path, problem)


def test_files_that_are_no_model(program: Program, ppm: Path, tmp_path: Path) -> None:
    (tmp_path / "garbage.onnx").write_bytes(b"no model at all" * 100)
    for name, problem in (("garbage.onnx", "cannot load it"), ("missing.onnx", "no such file"), ("", "no such file")):
        assert_refused(program(tmp_path / name, ppm, code=1), tmp_path / name, problem)


def test_outputs_of_another_size_than_recorded(program: Program, ppm: Path, tmp_path: Path) -> None:
    old, new = '"heatmap": "heatmap"', '"heatmap": "cam"'
    path = edited(small(tmp_path / "model.onnx"), lambda text: text.replace(old, new))
    assert_refused(program(path, ppm, code=1), ppm, "is not of the size that its record implies")


def test_maps_that_are_not_finite(program: Program, ppm: Path, tmp_path: Path) -> None:
    path = small(tmp_path / "model.onnx", "raw,scale=1e38")
    assert_refused(program(path, ppm, "--target", 1, code=1), ppm, "its heatmap is not finite")


def test_labels_that_are_too_few(plain: Program, ppm: Path, tmp_path: Path) -> None:
    path = small(tmp_path / "model.onnx", labels=["one", "two"])
    assert_refused(plain(path, ppm, code=1), path, "records 2 labels for 5 classes")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "give a model and one or more images"),
        (["MODEL"], "give a model and one or more images"),
        (["MODEL", "PHOTO", "--target"], "--target needs a value"),
        (["MODEL", "PHOTO", "--target", "cat"], "not 'cat'"),
        (["MODEL", "PHOTO", "--target", "top0"], "from 1 to 1000, not '0'"),
        (["MODEL", "PHOTO", "--target", "5"], "out of range; the model has 5 classes, 0 to 4"),
        (["MODEL", "PHOTO", "--target", "top6"], "--target top6 is out of range"),
        (["MODEL", "PHOTO", "--threads", "0"], "from 1 to 1024"),
        (["MODEL", "PHOTO", "--repeat", "1x"], "not '1x'"),
        (["MODEL", "PHOTO", "--npy"], "give -o FOLDER"),
        (["MODEL", "PHOTO", "--fast"], "unknown option --fast"),
    ],
)
def test_wrong_usage(plain: Program, ppm: Path, tmp_path: Path, arguments: list[str], problem: str) -> None:
    known = {"MODEL": str(small(tmp_path / "model.onnx")), "PHOTO": str(ppm)}
    run = plain(*(known.get(argument, argument) for argument in arguments), code=2)
    assert run.stdout == ""
    assert run.stderr.startswith("error: ")
    assert problem in run.stderr
    assert run.stderr.count("\n") == 1


def test_help_names_every_option(plain: Program) -> None:
    text = plain("--help").stdout
    synopsis, details = text.split("\n\n", 1)
    assert re.findall(r"\[(-+\w+)", synopsis) == re.findall(r"^  (-+\w+)", details, re.MULTILINE)


def test_cuda_that_is_missing_is_said(plain: Program, ppm: Path, tmp_path: Path) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    run = plain(small(tmp_path / "model.onnx"), ppm, "--cuda", code=1)
    assert run.stderr.startswith("error: this ONNX Runtime has no CUDA provider; ")


def test_folders_that_cannot_be_written_to(program: Program, ppm: Path, tmp_path: Path) -> None:
    model = small(tmp_path / "model.onnx")
    assert_refused(program(model, ppm, "-o", model, code=1), model, "choose another folder")
    (tmp_path / "out" / "chelsea_2.ppm").mkdir(parents=True)
    run = program(model, ppm, "--target", 2, "-o", tmp_path / "out", code=1)
    assert_refused(run, ppm, "chelsea_2.ppm: cannot be written; choose a writable folder")
    assert not list((tmp_path / "out").glob(".*"))  # no half-written file is left
