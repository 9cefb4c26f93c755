"""Gradients of operators with bodies, of recurrent layers and of sequences."""

from . import control_flow as control_flow
from . import recurrent as recurrent
from . import run_time_sequences as run_time_sequences
from . import sequences as sequences
