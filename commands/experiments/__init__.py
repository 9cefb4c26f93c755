"""Commands that measure: the paper's experiments on a user's own model and images."""
