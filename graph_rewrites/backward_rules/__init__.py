"""Alternatives to the gradient table, by the name of a rule set; importing the package registers them all."""

from . import excitation as excitation
from . import rectifiers as rectifiers
