"""The metrics by name: what each measures on one image, and what is reported of many; importing it registers them."""

from . import objects as objects
from . import reruns as reruns
from .registry import METRICS as METRICS
from .registry import Metric as Metric
from .registry import find_metrics as find_metrics
