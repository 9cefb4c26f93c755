"""Gradients of operators that slide a window over their input."""

from . import causal_conv as causal_conv
from . import convolution as convolution
from . import deform_conv as deform_conv
from . import pooling as pooling
from . import unpooling as unpooling
