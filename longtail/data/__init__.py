"""Data sets: long-tailed profiles and draws, the class table, sources of images, samplers, and the loaders."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
