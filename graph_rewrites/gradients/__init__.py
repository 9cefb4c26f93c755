"""Gradient rules, one file per operator family; importing the package registers them all."""

from .. import contrib as contrib
from . import activations as activations
from . import batch_normalization as batch_normalization
from . import control_flow as control_flow
from . import convolution as convolution
from . import cumulative as cumulative
from . import dropout as dropout
from . import einsum as einsum
from . import elementwise as elementwise
from . import functions as functions
from . import indexing as indexing
from . import linear as linear
from . import normalisation as normalisation
from . import padding as padding
from . import pooling as pooling
from . import quantisation as quantisation
from . import reductions as reductions
from . import resize as resize
from . import scatter as scatter
from . import selection as selection
from . import shape as shape
