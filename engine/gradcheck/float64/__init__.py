"""Runs models in float64, by ONNX's reference evaluator and faster or corrected operators."""
