"""How deep a layer must be for its map to lie on the object, and what it costs to explain every block of a network.

    python -m studies.depth [SCENES]

Writes two sections of docs/studies.md and their pictures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnxplain.engine.compare import Comparison, name_of
from onnxplain.engine.embedded import PHOTO
from onnxplain.engine.evaluation.measures.pointing import Map, Mask, centre_map, energy_inside, pointing
from onnxplain.engine.experiments.depth import map_size
from onnxplain.engine.explainer import Explainer
from onnxplain.engine.images.files import write_image
from onnxplain.engine.render.contact_sheet import contact_sheet
from onnxplain.engine.render.line_plot import line_plot
from onnxplain.engine.runtime.session import Session
from onnxplain.graph_rewrites.targets.blocks import residual_blocks
from rich.progress import track

from .page import PAGE, table, write_section
from .regions import CLASSIFIER, TOLERANCE, Shown, shown
from .residual.deep import BLOCKS, SIDE, resnet200

SCENES = 200
PICTURES = PAGE.parent / "images" / "studies"
DRAWN = 4  # scenes in the grid of pictures


class Depth(NamedTuple):
    """A layer's maps of all classes shown: the size of its feature maps, and the means of `judged`."""

    layer: str
    size: str
    hits: float
    inside: float
    right: float


def judged(heatmap: Map, region: Mask, objects: Mask) -> tuple[float, float, float]:
    """Whether the map hits, its energy in the class's region, and the share that this is of the energy in all objects.

    The last is 0 where no object has any.
    """
    inside, on_objects = energy_inside(heatmap, region), energy_inside(heatmap, objects)
    return pointing(heatmap, region, TOLERANCE), inside, inside / on_objects if on_objects else 0.0


def by_depth(explainer: Explainer, scenes: Iterable[Shown]) -> list[Depth]:
    """Judges each layer's maps, in graph order."""
    values: dict[str, list[tuple[float, float, float]]] = {}
    sizes = {}
    for each in scenes:
        objects = np.logical_or.reduce(list(each.regions.values()))
        for one in explainer(each.image, list(each.regions)):
            region, layer = each.regions[str(one.label)], str(one.layer)
            values.setdefault(layer, []).append(judged(one.heatmap, region, objects))
            sizes[layer] = map_size(one)
    return [Depth(layer, sizes[layer], *map(float, np.mean(found, axis=0))) for layer, found in values.items()]


def baselines(scenes: Iterable[Shown]) -> list[Depth]:
    """The same of maps that know nothing of the image: its middle, and everywhere alike."""
    values: dict[str, list[tuple[float, float, float]]] = {"centre": [], "uniform": []}
    for each in scenes:
        objects = np.logical_or.reduce(list(each.regions.values()))
        for name, heat in (("centre", centre_map(objects.shape)), ("uniform", np.ones(objects.shape))):
            values[name] += [judged(heat, region, objects) for region in each.regions.values()]
    return [Depth(name, "", *map(float, np.mean(found, axis=0))) for name, found in values.items()]


def scene_section(count: int) -> str:
    """Measures the classifier of scenes and draws the grid and the plot."""
    layers = [layer.name for layer in residual_blocks(CLASSIFIER)]
    explainer = Explainer(CLASSIFIER, layers=layers)
    scenes = list(shown(count))
    found = by_depth(explainer, track(scenes, "scenes"))
    curves = {
        "hits": [one.hits for one in found],
        "of the heat on objects, on the class's": [one.right for one in found],
        "energy inside": [one.inside for one in found],
    }
    write_image(PICTURES / "depth-plot.png", line_plot(curves, [one.size for one in found], height=280))
    cells = {}
    for number, each in enumerate(islice(scenes, DRAWN), 1):
        name = next(iter(each.regions))
        for one, depth in zip(explainer(each.image, name), found, strict=True):
            cells[f"scene {number}", f"{layers.index(depth.layer) + 1}: {depth.size}"] = one
    rows, columns = (list(dict.fromkeys(key[axis] for key in cells)) for axis in (0, 1))
    write_image(
        PICTURES / "depth-scenes.jpg", contact_sheet(Comparison(rows, columns, cells), photos=True, describe=name_of)
    )
    named = [
        *((str(number), one) for number, one in enumerate(found, 1)),
        *((one.layer, one) for one in baselines(scenes)),
    ]
    lines = [[name, one.size, *(f"{100 * value:.1f}" for value in one[2:])] for name, one in named]
    maps = sum(len(each.regions) for each in scenes)
    header = ["block", "size", "hits, %", "energy inside, %", "on the class's objects, %"]
    return f"{table(header, lines)}\n\n{maps} maps of {count} scenes per block."


def cost_section() -> str:
    """Builds the network of 200 layers, and sweeps its blocks by the command, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "resnet200.onnx"
        model = resnet200()
        onnx.save(model, path)
        session = Session(model)
        image = np.zeros((1, 3, SIDE, SIDE), np.float32)
        session.run(None, {"image": image})
        start = time.perf_counter()
        session.run(None, {"image": image})
        alone = time.perf_counter() - start
        del session, model
        command = ["sweep", str(path), str(PHOTO), "--layers", "blocks", "--preprocess", "imagenet", "--json"]
        picture = Path(folder) / "sweep.jpg"  # maps of random weights have nothing to show
        run = [sys.executable, "-c", "from onnxplain.cli import main; main()", *command, "-o", str(picture)]
        found = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
        weights = path.stat().st_size
    lines = [
        ["layers with weights, blocks", f"200, {sum(BLOCKS)}"],
        ["layers explained", str(len(found["layers"]))],
        ["file size", f"{weights / 1e6:.0f} MB"],
        ["one prediction", f"{alone:.2f} s"],
        *[[step, f"{seconds:.2f} s"] for step, seconds in found["seconds"].items()],
        ["peak memory", f"{found['memory'] / 1e9:.2f} GB"],
    ]
    return table(["", ""], lines)


def main() -> None:
    """Measures and writes the sections."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    write_section("depth", scene_section(int(sys.argv[1]) if len(sys.argv) > 1 else SCENES))
    write_section("depth-200", cost_section())


if __name__ == "__main__":
    main()
