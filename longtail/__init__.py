"""Long-tailed image recognition.

Letters used throughout: K experts, N images of a batch, C classes, d features, Q queue length, V views of an image;
z logits, v features, n_c training images of class c, log_prior_c = log(n_c / sum n).
"""

import lazy_loader

# attributes load their modules, and torch, when they are first used: `longtail --help` needs neither
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.2.0"
