"""The reverse pass: gradient rules, decompositions, and the sweep that applies them."""
