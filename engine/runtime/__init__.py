"""ONNX Runtime sessions, runs of any batch size, clusters, and files for serving."""
