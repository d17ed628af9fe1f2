"""Checks of a parquet file before any column is read: the rows and bytes that it claims, and the type of its images."""

import os
from typing import TYPE_CHECKING

from longtail.errors import LongtailError

if TYPE_CHECKING:
    import pyarrow as pa
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


def check_image_type(path: str, field: "pa.Field") -> None:
    """Raise LongtailError unless a column is binary, or a struct of bytes and perhaps a path in text."""
    import pyarrow as pa

    kinds = (
        {inner.name: inner.type for inner in field.type} if pa.types.is_struct(field.type) else {"bytes": field.type}
    )
    if "bytes" not in kinds or not (is_binary(kinds["bytes"]) or pa.types.is_null(kinds["bytes"])):
        raise LongtailError(f"{path}: column {field.name} is {field.type}; it must be a struct with bytes, or binary")
    if "path" in kinds and not (is_text(kinds["path"]) or pa.types.is_null(kinds["path"])):
        raise LongtailError(f"{path}: the paths in column {field.name} are {kinds['path']}; they must be text")


def is_text(kind: "pa.DataType") -> bool:
    """Return whether a pyarrow type is text."""
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def is_binary(kind: "pa.DataType") -> bool:
    """Return whether a pyarrow type is bytes."""
    import pyarrow as pa

    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
