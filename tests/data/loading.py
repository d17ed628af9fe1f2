"""Loading of custom data in tests, and parquet files made for tests."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from longtail.data import ReadOptions, Split, load_split
from tests.data.pictures import encoded


def load(path, imbalance=None, root=None, **reading) -> Split:
    """Load custom data at 8 x 8 pixels unless `reading` says otherwise."""
    return load_split(str(path), imbalance, root, ReadOptions(**{"size": 8} | reading))


def shard(path: Path, labels: list, first: int = 0, **columns: list) -> Path:
    """Write a parquet file of one-color images with the given labels, all different, and further columns."""
    images = [{"bytes": encoded(Image.new("RGB", (8, 8), (first + i, 0, 0))), "path": None} for i in range(len(labels))]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": images, "label": labels, **columns}), path)
    return path
