"""Data: long-tailed profiles and draws, the class table, sources of images, one's own among them, and the loader."""

from longtail.data.counts import exponential_counts, long_tailed_indices, pareto_counts
from longtail.data.files import Files
from longtail.data.loader import Batch, Chunk, Loader
from longtail.data.own import Reading
from longtail.data.sources import LONG_TAILED, SOURCES, is_path, listing, load_split, name_of
from longtail.data.split import ClassTable, Images, Split
from longtail.data.stream import StreamLoader
from longtail.data.workers import pixels, worker_count

__all__ = [
    "LONG_TAILED",
    "SOURCES",
    "Batch",
    "Chunk",
    "ClassTable",
    "Files",
    "Images",
    "Loader",
    "Reading",
    "Split",
    "StreamLoader",
    "exponential_counts",
    "is_path",
    "listing",
    "load_split",
    "long_tailed_indices",
    "name_of",
    "pareto_counts",
    "pixels",
    "worker_count",
]
