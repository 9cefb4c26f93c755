"""The options that commands share: names, help and types; options for running a model form one group."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ...engine import embedded
from ...engine.images.files import find_images
from ...engine.labels import read_labels
from ...engine.multi_pass.registry import MULTI_PASS
from ...engine.records.arguments import read_inputs
from ...graph_rewrites.errors import UsageError
from ...graph_rewrites.maps.registry import METHODS
from ...graph_rewrites.targets.placement import RECEPTIVE_FIELD

Model = Annotated[Path | None, typer.Argument(help="An ONNX file; default: the embedded EfficientNet-Lite0.")]
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", "--layers", help="Layer to explain, or all; repeatable; default: the last one."),
]
Score = Annotated[
    str | None,
    typer.Option(
        help="Score to explain: an output, an expression such as max(boxes[:, 4:], axis=2), or an .onnx file."
    ),
]
Method = Annotated[str, typer.Option(help=f"One of {', '.join((*METHODS, *MULTI_PASS))}.")]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", "--methods", help="Methods, comma-separated or repeated; default: those of the paper."),
]
Rules = Annotated[str | None, typer.Option(help="Backward rules: standard, guided, deconvnet, mwp, or your own.")]
Options = Annotated[list[str] | None, typer.Option("--option", help="An option of the method, name=value; repeatable.")]
Placement = Annotated[
    str,
    typer.Option(
        help="Where maps have the cells of a layer: receptive-field, or resize, which spreads them over the input."
    ),
]
Inputs = Annotated[
    list[str] | None, typer.Option("--input", help="A further input, name=file (.npy, or an image as a mask).")
]
Labels = Annotated[Path | None, typer.Option(help="Class names: a text file, one per line, or a JSON list.")]
Targets = Annotated[
    list[str] | None, typer.Option("--target", "-t", help="Class index, label, top1, top5 ...; repeatable.")
]
PreprocessText = Annotated[
    str | None,
    typer.Option("--preprocess", help="A preset (imagenet, tf, caffe, raw, uint8), or preset,name=value,..."),
]
Providers = Annotated[
    list[str] | None, typer.Option("--providers", help="cpu, cuda ...; default: cuda if usable, else cpu.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Ray = Annotated[
    bool, typer.Option("--ray", help="Use a Ray cluster: the running one, or one on this machine; resumable.")
]
Layer = Annotated[str | None, typer.Option("--layer", help="Layer to explain; default: the last one.")]
MappingFile = Annotated[
    Path | None,
    typer.Option(
        help="Maps classes of the data set to classes of the model: .json or a .csv with two columns; default: by name."
    ),
]
ImageFolder = Annotated[
    Path | None, typer.Option(help="Folder of the images; default: that of the data set, or of DATA.")
]
Image = Annotated[Path | None, typer.Argument(help="An image; default: the embedded photo.")]
Photo = Annotated[Path, typer.Argument(help="An image.")]
Images = Annotated[list[str] | None, typer.Argument(help="Images, folders or globs; default: the embedded photo.")]


@dataclass(frozen=True)
class RunOptions:
    """Options of every command that runs a model."""

    score: Score = None
    further: Inputs = None
    preprocess: PreprocessText = None
    labels: Labels = None
    providers: Providers = None

    @functools.cached_property
    def inputs(self) -> dict[str, Any]:
        """The model's further inputs."""
        return read_inputs(self.further)

    def arguments(self) -> dict[str, Any]:
        """These, as arguments of `Explainer`."""
        return {
            "score": self.score,
            "preprocess": self.preprocess,
            "labels": read_labels(self.labels) if self.labels else None,
            "providers": self.providers,
        }


@dataclass(frozen=True)
class MapOptions(RunOptions):
    """Further options of commands that draw maps at layers."""

    layer: Layers = None
    rules: Rules = None
    placement: Placement = RECEPTIVE_FIELD

    def arguments(self) -> dict[str, Any]:
        """These, as arguments of `Explainer`."""
        return super().arguments() | {"layers": self.layer, "rules": self.rules, "placement": self.placement}


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the fields of its first parameter, one of the classes above, as its own options."""
    hints = get_type_hints(command, include_extras=True)
    first, *own = inspect.signature(command).parameters.values()
    group = hints.pop(first.name)
    shared = get_type_hints(group, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY

    @functools.wraps(command)
    def flat(**given: Any) -> None:
        command(group(**{name: given.pop(name) for name in shared}), **given)

    every = {**{one.name: one.default for one in own}, **{one.name: one.default for one in fields(group)}}
    hints = hints | shared
    flat.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, keyword, default=value, annotation=hints[name]) for name, value in every.items()]
    )
    flat.__annotations__ = hints
    return flat


def model_and_photo(model: Path | None, image: Path | None) -> tuple[Path, Path]:
    """The model and the image given, or the embedded ones.

    Raises:
        UsageError: a model without an image.
    """
    if model is not None and image is None:
        raise UsageError("no image given; add one after the model")
    return model or embedded.MODEL, image or embedded.PHOTO


def model_and_photos(model: Path | None, images: list[str] | None) -> tuple[Path, list[Path]]:
    """The model and the image files that `images` names, or the embedded ones.

    Raises:
        UsageError: a model without images, or a name that matches no image.
    """
    if model is not None and not images:
        raise UsageError("no images given; add images, folders or globs after the model")
    return model or embedded.MODEL, find_images(images) if images else [embedded.PHOTO]


def method_names(texts: Sequence[str] | None, default: Sequence[str]) -> list[str]:
    """Method names, comma-separated or one by one."""
    return [name.strip() for text in texts or default for name in text.split(",")]
