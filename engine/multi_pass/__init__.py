"""Methods that run a model many times, one file per family; importing the package registers them all."""

from . import channels as channels
from . import noise as noise
from . import occlusion as occlusion
from . import rise as rise
