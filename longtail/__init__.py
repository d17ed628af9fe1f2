"""Long-tailed image recognition.

Letters used throughout: K experts, N images of a batch, C classes, d features, Q queue length, V views of an image;
z logits, v features, n_c training images of class c, log_prior_c = log(n_c / sum n).
"""

import sys
from pathlib import Path

from longtail.errors import LongtailError, stopped

try:
    from longtail import augment, data, losses, methods, metrics, nets
    from longtail.api import Model, load, train  # after its submodule, so that `longtail.train` is the function
except KeyboardInterrupt:  # torch takes seconds to load; a command that is stopped meanwhile shows no traceback
    if Path(sys.argv[0]).name not in ("-m", "longtail"):
        raise
    raise stopped("interrupted", 130) from None

__version__ = "0.1.0"
__all__ = ["LongtailError", "Model", "augment", "data", "load", "losses", "methods", "metrics", "nets", "train"]
