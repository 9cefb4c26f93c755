"""Appending nodes, inputs and outputs to a graph."""
