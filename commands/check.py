"""The command `check`: a gradient check of one model."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from ..engine import embedded
from ..engine.gradcheck.certificate import certify
from ..engine.gradcheck.random_inputs import SIDE
from ..engine.records.tables import certificate_report
from ..graph_rewrites.targets.placement import RECEPTIVE_FIELD
from .shared.options import Json, Model, Placement, Providers, Score
from .shared.output import show, steps


def check(
    model: Model = None,
    layer: Annotated[str | None, typer.Option("--layer", help="Layer; default: the last convolutional one.")] = None,
    score: Score = None,
    placement: Placement = RECEPTIVE_FIELD,
    providers: Providers = None,
    side: Annotated[int, typer.Option(help="Pixels, for spatial axes with open sizes.")] = SIDE,
    as_json: Json = False,
) -> None:
    """Check a model: operators, outputs, images and classes apart, the map's place, gradients by finite differences."""
    certificate = certify(
        model or embedded.MODEL,
        layers=layer,
        score=score,
        placement=placement,
        providers=providers,
        side=side,
        progress=partial(steps, doing="checking"),
    )
    show({**asdict(certificate), "passed": certificate.passed}, certificate_report(certificate), as_json)
    if not certificate.passed:
        raise typer.Exit(1)
