"""Rewrites ONNX graphs: a model in, a model out. Nothing here runs one."""
