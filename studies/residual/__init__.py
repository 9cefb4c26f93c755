"""Residual networks: a small one trained on scenes, and one of 200 layers with random weights."""
