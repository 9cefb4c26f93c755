"""Operators of the domain com.microsoft as standard ones; importing the package registers their decompositions.

Source: ONNX Runtime, docs/ContribOperators.md, and its CPU kernels where that leaves something open.
"""

from . import activations as activations
from . import attention as attention
from . import convolution as convolution
from . import group_query as group_query
from . import linear as linear
from . import normalisation as normalisation
from . import quantised as quantised
from . import rotary as rotary
from . import weight_only as weight_only
