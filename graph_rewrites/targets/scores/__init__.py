"""What is explained: scores of classes, written as an output, an expression, a model, a mask, or a detection."""
