"""Columns of parquet files that say which subset and which group each row belongs to."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from longtail.data.classes import RawGroups, RawSplit
from longtail.data.parquet import open_shard, read_column, read_raw_split
from longtail.data.parquet_columns import is_text
from longtail.data.subset_names import SUBSET_BY_WORD, misnamed_split_error, parse_subset_name
from longtail.errors import LongtailError


def read_subsets(files: Sequence[Path], subset: str, names: Sequence[str] | None = None) -> dict[str, RawSplit]:
    """List the subsets that the column `split` of parquet files names; a file without that column belongs to `subset`.

    `names` are the classes of files whose schemas name none. Raises LongtailError as `read_raw_split` does, and for a
    split that is missing or unknown.
    """
    raw = replace(read_raw_split(files, names), groups=read_groups(list(map(str, files))))
    named = np.concatenate([read_split_column(str(path), subset) for path in files])
    subsets = list(dict.fromkeys(named.tolist())) or [subset]
    if len(subsets) == 1:
        return {subsets[0]: raw}
    return {name: raw.take(np.flatnonzero(named == name)) for name in subsets}


def read_split_column(path: str, subset: str) -> np.ndarray:
    """Return the subset of each row (N,); all are `subset` if the file has no column `split`."""
    import pyarrow as pa

    shard = open_shard(path)
    if shard.split is None:
        refuse_misnamed_split(path)
        return np.full(shard.reader.metadata.num_rows, subset)
    column = read_column(path, shard.split)
    if column.null_count:
        raise LongtailError(
            f"{path}: column split has {column.null_count} rows without a subset; it must name one for each"
        )
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()  # its dictionary may hold words of other rows
    encoded = column.dictionary_encode()
    known = [parse_subset_name(str(word), f"{path}, column {shard.split}") for word in encoded.dictionary.to_pylist()]
    return np.array(known or [subset])[encoded.indices.to_numpy(zero_copy_only=False)]


def refuse_misnamed_split(path: str) -> None:
    """Raise LongtailError if a column that is not named split holds only names of subsets, two or more of them."""
    import pyarrow as pa

    shard = open_shard(path)
    for field in shard.reader.schema_arrow:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if not is_text(kind) or field.name == shard.label or not shard.ends:
            continue
        # the first group of rows tells, in nearly every file, that a column holds other text
        first = read_column(path, field.name, 0).unique().to_pylist()
        if all(str(word).strip().lower() in SUBSET_BY_WORD for word in first):
            words = [str(word).strip().lower() for word in read_column(path, field.name).unique().to_pylist()]
            if all(word in SUBSET_BY_WORD for word in words) and len({SUBSET_BY_WORD[word] for word in words}) > 1:
                raise misnamed_split_error(path, field.name, words)


def read_groups(files: Sequence[str]) -> RawGroups | None:
    """Read the column `group` of parquet files, None if no file has one; a row without text there has no group.

    Raises LongtailError for a column that is neither text nor whole numbers, and for two of that name.
    """
    found = [read_group_column(path) for path in files]
    if all(words is None for words in found):
        return None
    sizes = [open_shard(path).reader.metadata.num_rows for path in files]
    words = [word for words, rows in zip(found, sizes, strict=True) for word in words or [""] * rows]
    code_by_name = {name: code for code, name in enumerate(dict.fromkeys(filter(None, words)))}
    return RawGroups(np.array([code_by_name.get(word, -1) for word in words], dtype=np.int64), list(code_by_name))


def read_group_column(path: str) -> list[str] | None:
    """Return the group of each row as text, "" for none; None if the file has no column `group`."""
    import pyarrow as pa

    schema = open_shard(path).reader.schema_arrow
    columns = [field for field in schema if field.name.strip().lower() == "group"]
    if len(columns) > 1:
        raise LongtailError(f"{path} has two columns named group; rename or remove one")
    if not columns:
        return None
    kind = columns[0].type.value_type if pa.types.is_dictionary(columns[0].type) else columns[0].type
    if not (is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise LongtailError(f"{path}: column group is {kind}; it must be text or whole numbers")
    return ["" if value is None else str(value).strip() for value in read_column(path, columns[0].name).to_pylist()]


def read_image_paths(path: str) -> list[str | None] | None:
    """Return the path that each row keeps beside the bytes of its image; None if the file keeps none."""
    import pyarrow as pa

    field = open_shard(path).reader.schema_arrow.field(open_shard(path).image)
    if not pa.types.is_struct(field.type) or field.type.get_field_index("path") < 0:
        return None
    column = read_column(path, f"{field.name}.path")
    return column.field("path").to_pylist() if pa.types.is_struct(column.type) else column.to_pylist()
