"""From activations and gradients to heatmaps, as graph nodes."""
