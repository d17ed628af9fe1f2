"""Data: long-tailed profiles and draws, the class table, sources of images, and the loader."""

from longtail.data.counts import exponential_counts, long_tailed_indices, pareto_counts
from longtail.data.loader import Batch, Chunk, Loader
from longtail.data.sources import SOURCES, load_split
from longtail.data.split import ClassTable, Images, Split

__all__ = [
    "SOURCES",
    "Batch",
    "Chunk",
    "ClassTable",
    "Images",
    "Loader",
    "Split",
    "exponential_counts",
    "load_split",
    "long_tailed_indices",
    "pareto_counts",
]
