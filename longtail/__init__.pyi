from . import augment, data, losses, methods, metrics, nets, testing
from .api import Model, load, train
from .errors import LongtailError

__version__: str
__all__ = [
    "LongtailError",
    "Model",
    "augment",
    "data",
    "load",
    "losses",
    "methods",
    "metrics",
    "nets",
    "testing",
    "train",
]
