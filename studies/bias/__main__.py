"""An audit of two models of marked scenes: one was trained to look at the wrong thing.

    python -m studies.bias

Audits the biased and the balanced model on scenes whose markers tell nothing of the class, and writes a section of
docs/studies.md and its picture. Needs no PyTorch.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from onnxplain import Explainer
from onnxplain.engine.audit.findings import Audit
from onnxplain.engine.audit.picture import picture
from onnxplain.engine.audit.run import Subject, audit_images
from onnxplain.engine.audit.summary import chosen, heat, mistakes, right
from onnxplain.engine.audit.verdict import against, verdict
from onnxplain.engine.datasets.groups import read_groups
from onnxplain.engine.datasets.mapping import ClassMapping
from onnxplain.engine.datasets.read import read_dataset
from onnxplain.engine.images.files import write_image
from rich.progress import track

from ..page import PAGE, table, write_section
from .data import CLASSES, GROUPS, MODELS, REGIONS, SCENES, SEED, write_scenes

PICTURE = PAGE.parent / "images" / "studies" / "bias.jpg"
HEADER = ["model", "class", "marker", *(f"predicted {label}" for label in CLASSES), "correct, %"]
HEAT_HEADER = ["model", "class", "marker", *(f"heat in the {region}, %" for region in REGIONS)]


def audited(count: int = SCENES) -> Audit:
    """The audit of both models on the same scenes."""
    subjects = {}
    for name, path in MODELS.items():
        explainer = Explainer(path)
        subjects[name] = Subject(explainer, ClassMapping(explainer.labels, explainer.classes))
    with tempfile.TemporaryDirectory() as folder:
        path = write_scenes(Path(folder), count, SEED)
        dataset = read_dataset(path, further=True)
        return audit_images(
            subjects, dataset, read_groups(path, dataset), progress=lambda steps, total: track(steps, "scenes", total)
        )


def confusion_lines(audit: Audit) -> list[list[str]]:
    """Table A1's counterpart: a line for each model, class and group."""
    lines = []
    for model in audit.models:
        wrong = mistakes(audit, model)
        for label in CLASSES:
            for group in GROUPS:
                share = right(chosen(audit, label, group), model)
                counts = [share.part if called == label else wrong[label, group, called] for called in CLASSES]
                lines.append([model, label, group, *map(str, counts), f"{100 * share.value:.1f}"])
    return lines


def heat_lines(audit: Audit) -> list[list[str]]:
    """Where the heat lies: a line for each model, class and group, and one of what a map that is even has there."""
    lines = []
    for model in audit.models:
        for label in CLASSES:
            for group in GROUPS:
                found = [heat(chosen(audit, label, group), model, region) for region in REGIONS]
                lines.append([model, label, group, *(f"{100 * one.share:.1f}" for one in found)])
    areas = [heat(audit.records, audit.models[0], region).area for region in REGIONS]
    return [*lines, ["uniform", "", "", *(f"{100 * area:.1f}" for area in areas)]]


def section(audit: Audit) -> str:
    """The tables and what the command says of them."""
    said = [f"{model}: {' '.join(verdict(audit, model))}" for model in audit.models]
    quoted = "\n>\n".join(f"> {text}" for text in [*said, " ".join(against(audit, *audit.models))])
    return f"{table(HEADER, confusion_lines(audit))}\n\n{table(HEAT_HEADER, heat_lines(audit))}\n\n{quoted}"


def main() -> None:
    """Audits, and writes the section."""
    found = audited()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    write_image(PICTURE, picture(found))
    write_section("bias", section(found))


if __name__ == "__main__":
    main()
