"""Columns of parquet files that say which subset each row belongs to."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from longtail.data.classes import RawSplit
from longtail.data.parquet import open_shard, read_column, read_raw_split
from longtail.data.parquet_columns import is_text
from longtail.data.subset_names import SUBSET_BY_WORD, misnamed_split_error, parse_subset_name
from longtail.errors import LongtailError


def read_subsets(files: Sequence[Path], subset: str) -> dict[str, RawSplit]:
    """List the subsets that the column `split` of parquet files names; a file without that column belongs to `subset`.

    Raises LongtailError as `read_raw_split` does, and for a split that is missing or unknown.
    """
    raw = read_raw_split(files)
    named = np.concatenate([read_split_column(str(path), subset) for path in files])
    subsets = list(dict.fromkeys(named.tolist())) or [subset]
    if len(subsets) == 1:
        return {subsets[0]: raw}
    rows = {name: np.flatnonzero(named == name) for name in subsets}
    return {name: RawSplit(raw.index.take(rows[name]), raw.codes[rows[name]], raw.names) for name in subsets}


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
