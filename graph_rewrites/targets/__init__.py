"""What is explained, and where: scores, layers, and how a layer lies over the input."""
