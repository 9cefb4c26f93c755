"""EfficientNet-Lite0: the exported model, its class names, a photo and reference gradients (see README.md)."""
