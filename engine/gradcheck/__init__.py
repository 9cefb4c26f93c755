"""Checks the gradients of one model against differences of its values."""
