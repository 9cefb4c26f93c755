"""One HTML page of explanations, to look at, sort and share."""
