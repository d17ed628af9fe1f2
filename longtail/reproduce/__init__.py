"""The reproduction of the ECL paper (Xu et al., IEEE TMM 2023): each table is a set of cells, one run each, kept in a ledger."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
