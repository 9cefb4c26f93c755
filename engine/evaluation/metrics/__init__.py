"""The metrics by name: what each measures on one image, and what is reported of many; importing it registers them."""

from . import model as model
from . import truth as truth
from .registry import METRICS as METRICS
from .registry import Metric as Metric
from .registry import find_metrics as find_metrics
