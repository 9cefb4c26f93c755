"""onnxplain: explains the predictions of exported ONNX models."""
__version__ = "0.1.0"
