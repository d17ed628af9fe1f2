from . import augment, data, losses, methods, metrics, nets, testing
from .api import Model, load, train
from .errors import LongtailError
from .heads import Heads, fit_features

__version__: str
__all__ = [
    "Heads",
    "LongtailError",
    "Model",
    "augment",
    "data",
    "fit_features",
    "load",
    "losses",
    "methods",
    "metrics",
    "nets",
    "testing",
    "train",
]
