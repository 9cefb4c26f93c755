"""Whether images and classes that are explained together get what each gets alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ..runtime.runner import Arrays, Runner
from .finding import Finding, not_checked

# Runtimes sum batches of other sizes in another order: some units of the last place.
TOLERANCE = 1e-4
COMPARED = ("score", "cam")


def finite(found: Arrays) -> Finding:
    """Whether scores and maps are numbers."""
    bad = [name for name in COMPARED if not np.isfinite(found[name]).all()]
    return Finding("finite", not bad, f"not finite: {' and '.join(bad)}" if bad else "score and map", 1)


def images_apart(
    runner: Runner, feeds: Mapping[str, np.ndarray], top: np.ndarray, alone: Arrays, tolerance: float, seed: int = 0
) -> Finding:
    """Changes one image, explains one without the others, and all in another order: each keeps what it has.

    Args:
        runner: the explained model.
        feeds: its inputs but for the target.
        top: int64 [N, 1], classes.
        alone: what it gives for these.
        tolerance: of outputs, relative to the largest; at least `TOLERANCE`.
        seed: of what the image is changed to.
    """
    rows = len(feeds[runner.image])
    if rows < 2:
        return not_checked("images apart", "the model takes one image at a time")
    added = {*runner.names, *runner.names.values()}
    own = [name for name in alone if name in COMPARED or (runner.has_rows(name) and name not in added)]
    own = [name for name in own if alone[name].dtype.kind == "f"]
    changed = feeds[runner.image].copy()
    changed[-1] = np.random.default_rng(seed).permutation(changed[-1].ravel()).reshape(changed[-1].shape)
    beside = runner.run({**feeds, runner.image: changed}, top)
    first = runner.run(runner.rows_of(dict(feeds), 0, 1), top[:1])
    turned = {name: value[::-1] if runner.has_rows(name) else value for name, value in feeds.items()}
    backwards = runner.run({name: np.ascontiguousarray(value) for name, value in turned.items()}, top[::-1])
    pairs = [(beside[name][: rows - 1], alone[name][: rows - 1]) for name in own]
    pairs += [(first[name], alone[name][:1]) for name in own]
    pairs += [(backwards[name][::-1], alone[name]) for name in own]
    return _same("images apart", pairs, tolerance, 3)


def classes_apart(
    runner: Runner, feeds: Mapping[str, np.ndarray], top: np.ndarray, alone: Arrays, tolerance: float
) -> Finding:
    """Explains another class before and behind the top one, which keeps what it has; arguments as `images_apart`."""
    other = np.where(top == 0, -1, 0)
    pairs = []
    for at, columns in enumerate(([top, other], [other, top])):
        found = runner.run(dict(feeds), np.concatenate(columns, axis=1))
        pairs += [(found[name][:, at : at + 1], alone[name]) for name in COMPARED if name in alone]
    return _same("classes apart", pairs, tolerance, 2)


def _same(name: str, pairs: Iterable[tuple[np.ndarray, np.ndarray]], tolerance: float, probes: int) -> Finding:
    worst = 0.0
    for values, expected in pairs:
        size = float(np.abs(expected).max(initial=0)) or 1.0
        with np.errstate(invalid="ignore"):  # infinities that stay what they are
            difference = np.where(values == expected, 0, np.abs(values - expected))
        worst = max(worst, float(difference.max(initial=0)) / size)
    detail = "bit for bit" if worst == 0 else f"largest relative difference {worst:.1e}"
    return Finding(name, worst <= max(tolerance, TOLERANCE), detail, probes)
