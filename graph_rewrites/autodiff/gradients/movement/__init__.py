"""Gradients of operators that move, pick or place elements."""

from . import indexing as indexing
from . import padding as padding
from . import scatter as scatter
from . import selection as selection
from . import shape as shape
