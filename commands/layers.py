"""The command `layers`: the layers of a model that can be explained."""

from __future__ import annotations

from dataclasses import asdict

from ..engine import embedded
from ..engine.records.tables import layer_table
from ..graph_rewrites.rewrite import survey
from .shared.options import Json, Model, Score
from .shared.output import show


def layers(model: Model = None, score: Score = None, as_json: Json = False) -> None:
    """List the layers that can be explained, and why others cannot."""
    found = survey(model or embedded.MODEL, score=score)
    show([asdict(layer) for layer in found], layer_table(found), as_json)
