"""A folder of images explained by the actors of a Ray cluster, resumed where a run was cut off."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..graph_rewrites.errors import OnnxplainError
from ..graph_rewrites.model.metadata import VERSION
from .explainer import Explainer
from .explanation import Explanation
from .images.files import atomic_write_bytes
from .records.journal import Journal, fingerprint
from .records.tables import file_stem, row_of
from .runtime.cluster import spread
from .targets import Target

RESULTS = "explanations.jsonl"

Drawn = tuple[Explanation, dict[str, bytes]]  # without its arrays, and what its files hold, by suffix


@dataclass(frozen=True)
class Drawing:
    """Makes what explains one image; may be pickled.

    Attributes:
        model: the ONNX file.
        target: as in a call of `Explainer`.
        inputs: the model's further inputs.
        suffixes: of the files written for each explanation.
        arguments: further arguments of `Explainer`.
    """

    model: Path
    target: Target | Sequence[Target] | None = None
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    suffixes: tuple[str, ...] = (".png",)
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, session_options: Any) -> Callable[[Path], list[Drawn] | OnnxplainError]:
        """The explainer of an actor."""
        explainer = Explainer(self.model, session_options=session_options, **self.arguments)

        def draw(path: Path) -> list[Drawn] | OnnxplainError:
            try:
                return [self._drawn(one) for one in explainer(path, self.target, self.inputs)]
            except OnnxplainError as error:
                return error

        return draw

    def _drawn(self, one: Explanation) -> Drawn:
        no_map, no_image = np.zeros((1, 1), np.float32), np.zeros((1, 1, 3), np.uint8)
        light = replace(one, heatmap=no_map, cam=None, input_heatmap=no_map, logits=None, colours=None, image=no_image)
        return light, {suffix: one.encoded(f"explanation{suffix}") for suffix in self.suffixes}

    @property
    def identity(self) -> dict[str, Any]:
        """What explanations must have in common to be gone on with, in plain JSON types."""
        return {
            "version": VERSION,
            "model": f"{self.model.name} {fingerprint(self.model)}",
            "target": str(self.target),
            "inputs": {name: hashlib.sha256(value.tobytes()).hexdigest() for name, value in self.inputs.items()},
            "files": list(self.suffixes),
            "arguments": {name: str(value) for name, value in self.arguments.items()},
        }


def draw_on_ray(
    drawing: Drawing,
    paths: Sequence[Path],
    folder: Path,
    with_layer: bool,
    progress: Callable[[Iterable[Any], int], Iterable[Any]],
) -> tuple[list[dict[str, Any]], list[OnnxplainError]]:
    """Writes the pictures of all images that are not in the folder yet.

    Args:
        drawing: how.
        paths: the images.
        folder: where pictures and explanations.jsonl are written, which must be there.
        with_layer: whether names of files tell the layer.
        progress: `(steps, total) -> steps`.

    Returns:
        The rows of all explanations, those of an earlier run among them, and the images that could not be explained.

    Raises:
        UsageError: the folder holds results of another run.
        OnnxplainError: as `spread`, or a file cannot be written.
    """
    with Journal(folder / RESULTS, drawing.identity) as journal:
        taken = {Path(row["overlay"]).stem for one in journal.records.values() for row in one.get("rows", ())}
        todo = [path for path in paths if str(path) not in journal.done]
        drawn = progress(spread(drawing, todo), len(todo))
        for path, result in zip(todo, drawn, strict=True):
            if isinstance(result, OnnxplainError):
                journal.add({"image": str(path), "error": str(result)})
                continue
            rows = []
            for explanation, files in result:
                stem = file_stem(explanation, taken, with_layer)
                for suffix, data in files.items():
                    atomic_write_bytes(folder / f"{stem}{suffix}", data)
                rows.append(row_of(explanation, folder / f"{stem}.png"))
            journal.add({"image": str(path), "rows": rows})
        found = [journal.records[str(path)] for path in paths]
    failures = [OnnxplainError(one["error"]) for one in found if "error" in one]
    return [row for one in found for row in one.get("rows", ())], failures
