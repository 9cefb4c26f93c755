"""Two models of the same scenes: one whose training set lets it look at the wrong thing, and one whose does not."""
