"""Excitation backprop: relevance that flows back in place of gradients."""

from . import rules as rules
