"""Metrics as pure functions of predictions: shares in [0, 1], None (nan in tensors) where nothing can be measured."""

import lazy_loader

# loaded on first use: `longtail.metrics.names` must not load torch
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
