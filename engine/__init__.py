"""Runs explained models: images in, explanations out."""
