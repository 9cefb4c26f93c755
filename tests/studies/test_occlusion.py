"""How far maps of scenes agree with occlusion."""

from __future__ import annotations

import pytest

from studies.occlusion import agreement
from studies.regions import shown


def test_occlusion_agrees_with_itself_and_with_grad_cam_more_than_with_guided_backpropagation() -> None:
    found = agreement(shown(2), ("occlusion", "grad-cam", "guided-backprop"), (19,))  # 19 of 96: occlusion's own size
    assert found["occlusion"] == [pytest.approx(1)]
    assert found["grad-cam"][0] > 0.3 > found["guided-backprop"][0] > -0.1
