from .catalog import SOURCES, format_data_name, is_path
from .counts import exponential_counts, long_tailed_indices, pareto_counts
from .custom import ReadOptions
from .features import FeatureSet
from .lazy import LazyImages
from .loader import Batch, Chunk, Loader
from .memory import leave_in_files
from .sources import LONG_TAILED, list_data, load_split
from .split import ClassTable, Split, TensorImages
from .stream import StreamLoader
from .workers import count_workers, iterate_pixels

__all__ = [
    "LONG_TAILED",
    "SOURCES",
    "Batch",
    "Chunk",
    "ClassTable",
    "FeatureSet",
    "LazyImages",
    "Loader",
    "ReadOptions",
    "Split",
    "StreamLoader",
    "TensorImages",
    "count_workers",
    "exponential_counts",
    "format_data_name",
    "is_path",
    "iterate_pixels",
    "leave_in_files",
    "list_data",
    "load_split",
    "long_tailed_indices",
    "pareto_counts",
]
