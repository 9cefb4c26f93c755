"""Score-CAM and Ablation-CAM against running the network channel by channel."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from onnx import numpy_helper
from onnxplain import Explainer, UsageError
from onnxplain.engine.multi_pass import batch_tuner
from onnxplain.engine.runtime.session import Session

from ...graph_rewrites.networks import images, residual_cnn, small_cnn
from .replica import Replica, bilinear


def test_score_cam_weighs_by_the_scores_behind_each_mask() -> None:
    model = small_cnn(seed=4)
    replica, feeds = Replica(model), images(model)
    got = Explainer(model, method="score-cam").run(feeds, [0, 3])
    for row, image in enumerate(feeds["image"].astype(np.float64)):
        maps = replica.layer(image)
        masks = [bilinear(one, 8, 8) for one in maps]
        masks = [(m - m.min()) / (m.max() - m.min()) if np.ptp(m) else np.zeros_like(m) for m in masks]
        scores = np.array([replica.logits(image * mask) for mask in masks])
        for k, index in enumerate((0, 3)):
            shares = np.exp(scores[:, index]) / np.exp(scores[:, index]).sum()
            cam = np.maximum(np.tensordot(shares, maps, axes=1), 0)
            np.testing.assert_allclose(got["cam"][row, k], cam, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch", ["N", 2])
def test_ablation_cam_weighs_by_the_share_of_the_score_that_is_lost(batch: int | str) -> None:
    model = small_cnn(batch, seed=5)
    replica, feeds = Replica(model), images(model)
    got = Explainer(model, method="ablation-cam").run(feeds, [2, 1])
    for row, image in enumerate(feeds["image"].astype(np.float64)):
        maps = replica.layer(image)
        before = replica.head(maps)
        np.testing.assert_allclose(got["score"][row], before[[2, 1]], rtol=1e-4, atol=1e-6)
        weights = []
        for channel in range(len(maps)):
            without = maps.copy()
            without[channel] = 0
            weights.append((before - replica.head(without)) / np.abs(before))
        for k, index in enumerate((2, 1)):
            cam = np.maximum(np.tensordot(np.array(weights)[:, index], maps, axes=1), 0)
            np.testing.assert_allclose(got["cam"][row, k], cam, rtol=1e-3, atol=1e-5)


def test_on_a_linear_head_ablation_cam_is_grad_cam_over_the_score() -> None:
    """There y without channel k is y - mean(A^k) w_k, so its weights are Grad-CAM's times Z mean(A^k) / |y|."""
    model = small_cnn(seed=5)
    feeds = images(model)
    got = Explainer(model, method="ablation-cam").run(feeds, 2)
    model_weights = Replica(model)
    maps = model_weights.layer(feeds["image"][0])
    weights = model_weights.w3[2] * maps.mean(axis=(1, 2)) / abs(model_weights.head(maps)[2])
    cam = np.maximum(np.tensordot(weights, maps, axes=1), 0)
    np.testing.assert_allclose(got["cam"][0, 0], cam, rtol=1e-3, atol=1e-5)


def test_negative_scores_draw_what_speaks_for_the_class() -> None:
    """A bias moves every score alike, with a channel or without it: so it must not change what is drawn."""
    model = small_cnn(seed=5)
    feeds = images(model)
    expected = Explainer(model, method="ablation-cam").run(feeds, [0, 1, 2])
    bias = next(tensor for tensor in model.graph.initializer if tensor.dims == [5])
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) - 10, bias.name))
    got = Explainer(model, method="ablation-cam").run(feeds, [0, 1, 2])
    assert (got["score"] < 0).all()
    assert (expected["heatmap"].max(axis=(2, 3)) == 1).any()
    np.testing.assert_allclose(got["heatmap"], expected["heatmap"], atol=1e-4)


@pytest.mark.parametrize("method", ["score-cam", "ablation-cam"])
def test_a_layer_beside_a_shortcut_is_explained_and_several_are_refused(method: str) -> None:
    model = residual_cnn()
    feeds = images(model)
    cam = Explainer(model, method=method, layers="branch_relu").run(feeds, 1)["cam"]
    assert cam.shape == (2, 1, 8, 8)
    assert np.ptp(cam) > 1e-3
    with pytest.raises(UsageError, match="one layer at a time"):
        Explainer(model, method=method, layers="all")


@pytest.mark.parametrize("method", ["score-cam", "ablation-cam", "occlusion", "rise"])
def test_further_classes_take_no_further_runs(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows, run = small_cnn(), [], Session.run
    monkeypatch.setattr(batch_tuner, "time", SimpleNamespace(perf_counter=lambda: 0.0))  # runs are chosen by their time
    monkeypatch.setattr(Session, "run", lambda *given: rows.append(given[2]) or run(*given))
    for classes in ([3], [3, 0, 1]):
        Explainer(model, method=method, options={"masks": 9} if method == "rise" else None).run(
            images(model, 1), classes
        )
    assert len(rows) % 2 == 0
    one, three = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    assert [feeds["image"].shape for feeds in one] == [feeds["image"].shape for feeds in three]
    assert {feeds["target"].shape[1] for feeds in three} == {3}


def test_ablating_nothing_changes_nothing() -> None:
    model = small_cnn()
    feeds = images(model)
    explainer = Explainer(model, method="ablation-cam")
    plain = Explainer(model).run(feeds, [0, 1, 2])
    np.testing.assert_allclose(explainer.run(feeds, [0, 1, 2])["score"], plain["score"], rtol=1e-6)
