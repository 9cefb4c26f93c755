"""Gradient rules, one file per operator family; importing the package registers them all."""

from . import activations as activations
from . import convolution as convolution
from . import elementwise as elementwise
from . import functions as functions
from . import linear as linear
from . import normalisation as normalisation
from . import pooling as pooling
from . import reductions as reductions
