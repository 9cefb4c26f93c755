"""Explanation methods as graph nodes, one file per family; importing the package registers them all."""

from . import cams as cams
from . import eigen as eigen
from . import excitation as excitation
from . import full_grad as full_grad
from . import input_maps as input_maps
