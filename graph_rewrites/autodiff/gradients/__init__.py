"""Gradient rules, a folder a kind of operator, a file a family; importing the package registers them all."""

from .. import decompositions as decompositions
from . import control_flow as control_flow
from . import movement as movement
from . import other_domains as other_domains
from . import pointwise as pointwise
from . import products as products
from . import reductions as reductions
from . import resampling as resampling
from . import windows as windows
