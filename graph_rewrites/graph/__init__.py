"""Facts about tensors, nodes and operators."""
