"""Whether images and classes that are explained together get what each gets alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..runtime.runner import Arrays, Runner
from .finding import Finding

# Runtimes sum batches of other sizes in another order: some units of the last place.
TOLERANCE = 1e-4
COMPARED = ("score", "cam")


def independence(
    runner: Runner, feeds: Mapping[str, np.ndarray], top: np.ndarray, tolerance: float, seed: int = 0
) -> list[Finding]:
    """Runs an explained model with one image changed, and with other classes beside the top one.

    Args:
        runner: the explained model.
        feeds: its inputs but for the target.
        top: int64 [N, 1], classes.
        tolerance: of outputs, relative to the largest; at least `TOLERANCE`.
        seed: of what the image is changed to.
    """
    alone = runner.run(dict(feeds), top)
    findings = [_finite(alone)]
    rows = len(feeds[runner.image])
    if rows > 1:
        changed = feeds[runner.image].copy()
        changed[-1] = np.random.default_rng(seed).permutation(changed[-1].ravel()).reshape(changed[-1].shape)
        found = runner.run({**feeds, runner.image: changed}, top)
        first = {name: values[: rows - 1] for name, values in found.items() if name in COMPARED}
        findings.append(_same("images apart", first, {name: alone[name][: rows - 1] for name in first}, tolerance))
    beside = np.concatenate([top, np.where(top == 0, -1, 0)], axis=1)
    found = runner.run(dict(feeds), beside)
    first = {name: values[:, :1] for name, values in found.items() if name in COMPARED}
    findings.append(_same("classes apart", first, {name: alone[name] for name in first}, tolerance))
    return findings


def _finite(found: Arrays) -> Finding:
    bad = [name for name in COMPARED if not np.isfinite(found[name]).all()]
    return Finding("finite", not bad, f"not finite: {' and '.join(bad)}" if bad else "score and map")


def _same(name: str, found: Arrays, expected: Arrays, tolerance: float) -> Finding:
    worst = 0.0
    for key, values in expected.items():
        size = float(np.abs(values).max(initial=0)) or 1.0
        worst = max(worst, float(np.abs(found[key] - values).max(initial=0)) / size)
    detail = "bit for bit" if worst == 0 else f"largest relative difference {worst:.1e}"
    return Finding(name, worst <= max(tolerance, TOLERANCE), detail)
