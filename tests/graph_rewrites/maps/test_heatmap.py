"""Maps at the input's size: together they are what each is alone."""

from __future__ import annotations

import numpy as np
from onnxplain.graph_rewrites.rewrite import layers, rewrite

from ..networks import explain, images, small_cnn


def test_layers_of_one_resolution_are_resized_together_and_alone_the_same() -> None:
    model = small_cnn()
    feeds = images(model)
    together = rewrite(model, layers="all", outputs=["cam", "heatmap"])
    names = [layer.name for layer in layers(model)]
    resolutions = {layer.shape[2:] for layer in layers(model)}
    assert len(names) > len(resolutions) > 1
    assert [node.op_type for node in together.graph.node].count("Resize") == len(resolutions)
    result = explain(together, feeds, [[0, -1]] * 2)
    for name in names:
        alone = explain(rewrite(model, layers=name, outputs=["cam", "heatmap"]), feeds, [[0, -1]] * 2)
        for output in ("cam", "heatmap"):
            np.testing.assert_array_equal(result[f"{output}@{name}"], alone[output])
        lit = result[f"cam@{name}"].any(axis=(2, 3))
        np.testing.assert_array_equal(result[f"heatmap@{name}"].max(axis=(2, 3)), lit)
        assert lit.any()
