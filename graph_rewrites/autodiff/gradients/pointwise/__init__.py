"""Gradients of operators that work element by element."""

from . import activations as activations
from . import arithmetic as arithmetic
from . import dropout as dropout
from . import functions as functions
from . import quantisation as quantisation
