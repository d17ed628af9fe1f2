"""Bounds on the rows and bytes that the metadata of a parquet file claims, checked before any column is read."""

import os
from typing import TYPE_CHECKING

from longtail.errors import LongtailError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

FREE_ROWS = 1_000_000  # rows that any file may claim; further rows take a byte each at least
FREE_BYTES, MAX_EXPANSION = 1 << 30, 100  # bytes that any group may claim, and how far further bytes may be compressed


def check_claims(path: str, metadata: "pq.FileMetaData") -> None:
    """Raise LongtailError for a file that claims far more rows or bytes than it can hold, and would fill the memory."""
    size, rows = os.path.getsize(path), metadata.num_rows
    if rows > max(FREE_ROWS, size):
        raise LongtailError(
            f"{path} claims {rows:,} rows in {size:,} bytes, which cannot be images; write the file again"
        )
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    largest = max((group.total_byte_size for group in groups), default=0)
    if largest > max(FREE_BYTES, size * MAX_EXPANSION):
        raise LongtailError(
            f"{path} claims a group of {largest / 1e9:.1f} GB in {size:,} bytes; write the file again in smaller groups"
        )
