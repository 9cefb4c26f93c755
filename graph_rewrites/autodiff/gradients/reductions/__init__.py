"""Gradients of sums, means, extrema and normalisations along axes."""

from . import batch_normalization as batch_normalization
from . import cumulative as cumulative
from . import normalisation as normalisation
from . import reductions as reductions
