"""Images and labels in parquet files of the Hugging Face layout: a struct of bytes and path, and a label, in each row."""

import json
import os
import stat
import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from longtail.data.catalog import shorten_path
from longtail.data.classes import RawSplit
from longtail.data.lazy import measure_source
from longtail.data.parquet_claims import check_claims
from longtail.data.parquet_columns import check_image_type, get_value_type, is_binary, is_text, read_row_names
from longtail.errors import LongtailError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

IMAGE_COLUMNS, LABEL_COLUMNS = ("image", "img"), ("label", "fine_label")
READ_LOCK = threading.Lock()  # a parquet reader serves one thread at a time
KEPT_GROUPS = 4  # groups of rows that stay in memory once they are read


@dataclass(frozen=True)
class ParquetIndex:
    """N images as rows of parquet files, numbered across the files.

    A group of rows is read at a time and the last few groups are kept, so ascending rows are read fastest; longtail/unpack.py
    copies images for random order. Files from elsewhere are `sealed`: the path of a row without bytes is not opened.
    """

    files: tuple[str, ...]
    ends: tuple[int, ...]  # rows up to the end of each file
    rows: np.ndarray  # (N,) int64
    sealed: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def locate(self, i: int) -> tuple[str, int]:
        """Return the file of the i-th image, and its row there."""
        file, row = find_block(self.ends, int(self.rows[i]))
        return self.files[file], row

    def key(self, i: int) -> bytes:
        path, row = self.locate(i)
        return f"{os.path.basename(path)}:{row}".encode()

    def name(self, i: int) -> str:
        return "{}, row {}".format(*self.locate(i))

    def short_name(self, i: int) -> str:
        path, row = self.locate(i)
        names = read_row_names(path, open_shard(path).image)
        return f"{os.path.basename(path)}, row {row}" if names is None else shorten_path(names[row].as_py())

    def locate_in_group(self, i: int) -> tuple[str, int, int]:
        """Return the file of the i-th image, its group of rows there, and its row in the group."""
        path, row = self.locate(i)
        return path, *find_block(open_shard(path).ends, row)

    def source(self, i: int) -> bytes | str:
        with READ_LOCK:
            path, group, row = self.locate_in_group(i)
            contents, paths = read_image_group(path, group)
        return self.choose_source(i, contents[row].as_py(), paths[row].as_py() if paths is not None else None)

    def choose_source(self, i: int, content: bytes | None, path: str | None) -> bytes | str:
        """Return the content of the i-th image or, where it has none, the path of its file, relative to the parquet file."""
        if content:
            return content
        return os.path.join(os.path.dirname(self.locate(i)[0]), path) if path and not self.sealed else b""

    def size(self, i: int) -> int:
        return measure_source(self.source(i))

    def take(self, rows: np.ndarray) -> "ParquetIndex":
        return replace(self, rows=self.rows[rows])

    def reading_order(self) -> np.ndarray:
        return np.argsort(self.rows, kind="stable")  # a group of rows after the other


def find_block(ends: tuple[int, ...], row: int) -> tuple[int, int]:
    """Return the number of the block that holds a row, and the row within the block; `ends` are rows up to each end."""
    block = bisect_right(ends, row)
    return block, row - (ends[block - 1] if block else 0)


@dataclass(frozen=True)
class Shard:
    """An open parquet file: its reader, the names of its columns (`split` may be None), the rows up to each group's end."""

    reader: "pq.ParquetFile"
    image: str
    label: str
    split: str | None
    ends: tuple[int, ...]


@lru_cache(maxsize=64)
def open_shard(path: str) -> Shard:
    """Open a parquet file; raises LongtailError if it is missing, broken or of another layout."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise LongtailError(f"{path} is not a regular file")
        reader = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise unreadable_error(path, error) from error
    names = reader.schema_arrow.names
    image, label = (next((name for name in known if name in names), None) for known in (IMAGE_COLUMNS, LABEL_COLUMNS))
    if image is None or label is None:
        raise LongtailError(f"{path} needs the columns image and label; it has {', '.join(names)}")
    splits = [name for name in names if name.strip().lower() == "split"]
    if twice := [name for name in (image, label) if names.count(name) > 1] + splits[1:]:
        raise LongtailError(f"{path} has two columns named {twice[0]}; rename or remove one")
    check_image_type(path, reader.schema_arrow.field(image))
    check_claims(path, reader.metadata)
    sizes = (reader.metadata.row_group(g).num_rows for g in range(reader.num_row_groups))
    return Shard(reader, image, label, splits[0] if splits else None, tuple(accumulate(sizes)))


@lru_cache(maxsize=KEPT_GROUPS)
def read_image_group(path: str, group: int) -> tuple["pa.Array", "pa.Array | None"]:
    """Read the bytes of the images in a group of rows, and their paths if the file has any."""
    column = read_column(path, open_shard(path).image, group)
    if is_binary(column.type):
        return column, None
    fields = dict(zip((field.name for field in column.type), column.flatten(), strict=True))
    return fields["bytes"], fields.get("path")


def read_column(path: str, name: str, group: int | None = None) -> "pa.Array":
    """Read one column of a parquet file, or of a group of its rows; raises LongtailError if it is damaged."""
    import pyarrow as pa

    reader = open_shard(path).reader
    try:
        table = reader.read([name]) if group is None else reader.read_row_group(group, [name])
        return pa.concat_arrays(table.column(0).chunks) if table.num_rows else table.column(0).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise unreadable_error(path, error) from error


def clear_caches() -> None:
    """Close all open parquet files and drop the groups of rows that are kept."""
    read_image_group.cache_clear()
    read_row_names.cache_clear()
    open_shard.cache_clear()


def unreadable_error(path: str, error: Exception) -> LongtailError:
    """Return the error for a file that is not parquet, or is damaged."""
    return LongtailError(f"{path} is not a readable parquet file: {' '.join(str(error).split())[:160]}")


def read_raw_split(files: Sequence[Path], names: Sequence[str] | None = None) -> RawSplit:
    """List all rows of parquet files; classes take their names from the schema, else `names`, else the labels themselves.

    Raises LongtailError for a file that cannot be read, and for labels that are missing or have no name.
    """
    clear_caches()  # a file may have changed since it was last opened
    codes: list[np.ndarray] = []
    code_by_name: dict[str, int] = {}
    schemas = {path: read_class_names(path) for path in map(str, files)}
    named = next(filter(schemas.get, schemas), None)
    for path in schemas:
        labels = read_column(path, open_shard(path).label)
        if named and not schemas[path] and not is_text(get_value_type(labels)):
            raise LongtailError(
                f"{path} has numbers as labels and names no classes in its schema, but {named} does; give both the same"
            )
        declared = schemas[path] or (list(names) if names else None)
        for name in declared or ():
            code_by_name.setdefault(name, len(code_by_name))
        encoded = encode_labels(path, labels)
        found = [get_class_name(path, value, declared) for value in encoded.dictionary.to_pylist()]
        table = np.array([code_by_name.setdefault(name, len(code_by_name)) for name in found], dtype=np.int64)
        codes.append(table[encoded.indices.to_numpy(zero_copy_only=False)])
    ends = tuple(accumulate(map(len, codes)))
    index = ParquetIndex(tuple(map(str, files)), ends, np.arange(ends[-1]))
    return RawSplit(index, np.concatenate(codes), list(code_by_name))


def encode_labels(path: str, labels: "pa.Array") -> "pa.DictionaryArray":
    """Encode labels as a dictionary array; raises LongtailError unless all are whole numbers or text."""
    import pyarrow as pa

    kind = get_value_type(labels)
    if labels.null_count or not (is_text(kind) or pa.types.is_integer(kind)):
        raise LongtailError(
            f"{path}: the labels are {kind} with {labels.null_count} missing; "
            "they must be whole numbers or names, for every row"
        )
    encoded = labels if pa.types.is_dictionary(labels.type) else labels.dictionary_encode()
    if is_text(kind) and not all(name.strip() for name in encoded.dictionary.to_pylist() if name is not None):
        raise LongtailError(f"{path}: some labels are empty; give each row a label, or remove the row")
    return encoded


def get_class_name(path: str, value: int | str, declared: list[str] | None) -> str:
    """Return the class name of a label; raises LongtailError for a number that the schema gives no name."""
    if declared is None or isinstance(value, str):
        return str(value)
    if value == -1:
        raise LongtailError(
            f"{path}: label -1 means that an image has no label; move the file away, or label its images"
        )
    if not 0 <= value < len(declared):
        raise LongtailError(f"{path}: label {value} has no name; the schema names {len(declared)} classes, from 0")
    return declared[value]


def read_class_names(path: str) -> list[str] | None:
    """Return the class names in Hugging Face's metadata, or None if there are none.

    Raises LongtailError for a name that is not text or stands twice.
    """
    shard = open_shard(path)
    try:
        metadata = json.loads(shard.reader.schema_arrow.metadata[b"huggingface"])
        names = metadata["info"]["features"][shard.label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise LongtailError(f"{path}: the class names in its schema are not all text; they must be a list of names")
    if twice := sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []:
        raise LongtailError(
            f"{path}: its schema names {len(twice)} classes twice: {', '.join(twice[:10])}; rename them"
        )
    return names
