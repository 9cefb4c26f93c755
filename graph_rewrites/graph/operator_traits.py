"""What is known of operators."""

RECTIFIERS = frozenset({"Relu", "Clip", "Max", "Min", "Where", "LeakyRelu", "PRelu", "ThresholdedRelu"})
