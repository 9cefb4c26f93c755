"""Image files, and their way into a model and back."""

from .files import read_image as read_image
