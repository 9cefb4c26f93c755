"""A run over a data set by the actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..datasets.dataset import Entry
from ..runtime.cluster import spread
from .evaluator import Evaluator, Plan
from .run import Records


@dataclass(frozen=True)
class Measuring:
    """Makes what measures one image; may be pickled."""

    plan: Plan

    def __call__(self, session_options: Any) -> Callable[[tuple[str, Entry]], dict[str, Any]]:
        """The evaluator of an actor."""
        arguments = {**self.plan.arguments, "session_options": session_options}
        evaluator = Evaluator(replace(self.plan, arguments=arguments))
        return lambda item: evaluator.record(*item)


def measured_on_ray(evaluator: Evaluator, plan: Plan, images: Mapping[str, Entry]) -> Records:
    """The records of images, in order, as the actors give them.

    Raises:
        OnnxplainError: as `spread`.
    """
    # What the model does not allow was found out, and told, here.
    return spread(Measuring(replace(plan, methods=evaluator.maps.methods)), list(images.items()))
