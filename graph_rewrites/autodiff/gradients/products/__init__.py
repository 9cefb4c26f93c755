"""Gradients of products and other linear maps."""

from . import attention as attention
from . import determinant as determinant
from . import einsum as einsum
from . import linear as linear
from . import spectral as spectral
