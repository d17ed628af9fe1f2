"""Long-tailed image recognition.

Letters used throughout: K experts, N images of a batch, C classes, d features, Q queue length, V views of an image;
z logits, v features, n_c training images of class c, log_prior_c = log(n_c / sum n).
"""

from longtail import augment, data, losses, methods, metrics, nets
from longtail.api import Model, load, train  # after its submodule, so that `longtail.train` is the function
from longtail.errors import LongtailError

__version__ = "0.1.0"
__all__ = ["LongtailError", "Model", "augment", "data", "load", "losses", "methods", "metrics", "nets", "train"]
