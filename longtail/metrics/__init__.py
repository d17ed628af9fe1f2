"""Metrics as pure functions of predictions; shares in [0, 1], None (nan in tensors) where nothing can be measured."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
