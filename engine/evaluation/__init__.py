"""How good explanations are, by the measures of the literature."""
