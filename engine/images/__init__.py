"""Image files, and their way into a model and back."""
