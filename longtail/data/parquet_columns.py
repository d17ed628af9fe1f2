"""Columns of parquet files: the types that images may have, and the paths by which rows are named."""

from functools import lru_cache
from typing import TYPE_CHECKING

from longtail.errors import LongtailError

if TYPE_CHECKING:
    import pyarrow as pa


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


def get_value_type(labels: "pa.Array") -> "pa.DataType":
    """Return the type of labels, of their dictionary if they have one."""
    import pyarrow as pa

    return labels.type.value_type if pa.types.is_dictionary(labels.type) else labels.type


def is_text(kind: "pa.DataType") -> bool:
    """Return whether a pyarrow type is text."""
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def is_binary(kind: "pa.DataType") -> bool:
    """Return whether a pyarrow type is bytes."""
    import pyarrow as pa

    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


@lru_cache(maxsize=64)
def read_row_names(path: str, image: str) -> "pa.ChunkedArray | None":
    """Return the paths of the images, from the struct `image` or a column `path`; None if they do not tell rows apart."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    reader = pq.ParquetFile(path)
    leaves = {f"{image}.path", "path"} & {reader.schema.column(i).path for i in range(len(reader.schema))}
    for leaf in sorted(leaves, reverse=True):  # a column `path` first
        column = reader.read(columns=[leaf]).column(0)
        names = column if leaf == "path" else pc.struct_field(column, "path")
        if is_text(names.type) and not names.null_count and pc.count_distinct(names).as_py() == len(names):
            return names
    return None
