"""Studies of explained models with ground truth: scenes made to order, and models that speak of them."""
