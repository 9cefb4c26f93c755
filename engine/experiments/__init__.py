"""The experiments of the Grad-CAM paper on a model and images of the user."""
