"""Work spread over a Ray cluster: a pool of actors, each with a model loaded, that take items as they come.

Files are read by the actors themselves, under the same paths: on several machines, from a file system that they share.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from ...graph_rewrites.errors import OnnxplainError
from ..plugins import LOADED, load_plugin
from .session import import_onnxruntime

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Item], Result]

# Items go to the actors in so many parts at most: small enough for results to come soon, and not too many to keep track
# of.
PARTS = 1000


def spread(build: Callable[[Any], Work[Item, Result]], items: Sequence[Item]) -> Iterator[Result]:
    """The result of each item, in order, as they come.

    Args:
        build: makes, once in each actor, what turns an item into a result; it gets an `onnxruntime.SessionOptions` of
            one thread, as each actor has one core. Its results must not depend on the actor.
        items: what may be pickled.

    Raises:
        OnnxplainError: Ray is not installed, or an actor fails.
    """
    if not items:
        return
    ray = _connected()
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    gpus = int(ray.cluster_resources().get("GPU", 0))
    cpus = int(ray.cluster_resources().get("CPU", 1))
    data = ray.data.from_items(
        [{"item": pickle.dumps(item)} for item in items], override_num_blocks=min(PARTS, len(items))
    )
    mapped = data.map_batches(
        _Actor,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(len(items), gpus or max(1, cpus))),
        num_gpus=1 if gpus else None,
        fn_constructor_args=(pickle.dumps(build), os.getcwd(), list(LOADED)),  # noqa: PTH109 - as it is
    )
    try:
        for row in mapped.iter_rows():
            yield pickle.loads(row["result"])
    except ray.exceptions.RayError as error:
        raise OnnxplainError(f"Ray could not do the work: {str(error).strip().splitlines()[-1]}") from error


class _Actor:
    """Turns batches of pickled items into batches of pickled results."""

    def __init__(self, build: bytes, folder: str, plugins: Sequence[str]) -> None:
        os.chdir(folder)
        for name in plugins:
            load_plugin(name)
        options = import_onnxruntime().SessionOptions()
        options.intra_op_num_threads = 1
        self._work = pickle.loads(build)(options)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"result": [pickle.dumps(self._work(pickle.loads(item))) for item in batch["item"]]}


def _connected() -> Any:
    """The ray module, connected to a cluster that runs, or else to one of this machine alone."""
    # Ray reports to nobody, and what it says of its own working is not for users; set it to have it otherwise.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise OnnxplainError("Ray is not installed; run: pip install 'onnxplain[ray]'") from error
    if not ray.is_initialized():
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    return ray
