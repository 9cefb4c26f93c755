"""`python -m studies`: which studies there are, and what becomes of one that fails."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from rich.console import Console

from studies.__main__ import ROOT, STUDIES, Done, Study, run, run_all, summary
from studies.page import PAGE

THREE = {name: Study((name,), (), ()) for name in ("one", "two", "three")}


def fails_in_two(study: Study) -> Done:
    return Done("exit status 1" if study.command == ("two",) else "", 1.5)


def test_each_section_of_the_page_is_written_by_one_study() -> None:
    written = [section for study in STUDIES.values() for section in study.sections]
    assert sorted(written) == sorted(re.findall(r"<!-- (\S+):begin -->", PAGE.read_text()))


def test_the_page_names_the_command_of_each_study() -> None:
    commands = re.findall(r"^python -m (.+)$", PAGE.read_text(), re.MULTILINE)
    assert {" ".join(study.command) for study in STUDIES.values()} <= set(commands)


def test_their_models_are_here_and_no_training_framework_is_needed() -> None:
    assert {name: study.missing for name, study in STUDIES.items()} == {name: [] for name in STUDIES}
    modules = ", ".join(dict.fromkeys(study.command[0] for study in STUDIES.values()))
    code = f"import sys; sys.modules['torch'] = None; import {modules}"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_study_that_fails_is_named_and_the_others_run() -> None:
    found = run_all([], THREE, fails_in_two)
    assert found == {"one": Done("", 1.5), "two": Done("exit status 1", 1.5), "three": Done("", 1.5)}
    console = Console(width=60, record=True, file=sys.stderr)
    console.print(summary(found))
    lines = [re.findall(r"[\w.]+", line) for line in console.export_text().splitlines()]
    assert [line for line in lines if line] == [
        ["study", "result", "seconds"],
        ["one", "done", "2"],
        ["two", "exit", "status", "1", "2"],
        ["three", "done", "2"],
        ["all", "1", "failed", "4"],
    ]


def test_some_are_chosen_by_name() -> None:
    assert list(run_all(["three", "one"], THREE, fails_in_two)) == ["one", "three"]
    with pytest.raises(ValueError, match="no study 'tow'; did you mean 'two'"):
        run_all(["one", "tow"], THREE, fails_in_two)


def test_a_process_gives_its_exit_status() -> None:
    assert run(Study(("this",), (), ())).failure == ""
    assert run(Study(("studies.nowhere",), (), ())).failure == "exit status 1"
    lacking = run(Study(("this",), ("scene_resnet", "nowhere"), ()))
    assert lacking == Done("lacks the models exported_models/nowhere; train or check them out", 0)


def test_an_unknown_name_is_wrong_usage() -> None:
    found = subprocess.run([sys.executable, "-m", "studies", "dept"], cwd=ROOT, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (2, "error: no study 'dept'; did you mean 'depth'?\n")
