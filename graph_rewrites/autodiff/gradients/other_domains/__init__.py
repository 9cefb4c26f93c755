"""Gradients of operators outside the default domain."""

from . import classical as classical
from . import training as training
