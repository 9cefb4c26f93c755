"""Which tensors and nodes depend on which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx_graphsurgeon as gs

from .node import used_tensors
from .quantisation import carries_gradient


def tensors_between(
    nodes: Sequence[gs.Node], start: Iterable[str], end: Iterable[str], floats_only: bool = True
) -> set[str]:
    """Names of the tensors on a path from `start` to `end`, both included where they are connected.

    By default a path is one that gradients can take, through float and quantised tensors.
    """
    reached = reach(nodes, start, floats_only)
    return sources(nodes, reached & set(end), reached)


def sources(nodes: Sequence[gs.Node], end: Iterable[str], within: set[str] | None = None) -> set[str]:
    """Names of the tensors that `end` depends on, and `end` itself; if asked, by tensors `within` a set alone."""
    needed = set(end)
    for node in reversed(nodes):
        if any(tensor.name in needed for tensor in node.outputs):
            needed.update(t.name for t in used_tensors(node) if within is None or t.name in within)
    return needed


def reach(nodes: Sequence[gs.Node], start: Iterable[str], floats_only: bool = False) -> set[str]:
    """Names of the tensors that depend on `start`, and `start` itself; if asked, only as gradients can come back."""
    reached = set(start)
    for node in nodes:
        if any(tensor.name in reached for tensor in used_tensors(node)):
            outputs = [t for t in node.outputs if not floats_only or carries_gradient(node, t, reached)]
            reached.update(t.name for t in outputs if t.name)
    return reached


def needed_nodes(nodes: Sequence[gs.Node], outputs: Sequence[str]) -> list[gs.Node]:
    """The nodes that some tensors depend on, in order."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if any(tensor.name in needed for tensor in node.outputs):
            needed.update(tensor.name for tensor in used_tensors(node))
            kept.append(node)
    return kept[::-1]
