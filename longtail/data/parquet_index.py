"""Parquet files of the Hugging Face layout as places of images: a struct of bytes and path, and a label, a row."""

import json
import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from longtail.data.classes import RawSplit
from longtail.errors import LongtailError

IMAGE, LABEL = ("image", "img"), ("label", "fine_label")
READ_LOCK = threading.Lock()  # a parquet reader serves one thread at a time


@dataclass(frozen=True)
class ParquetIndex:
    """Rows of some parquet files counted through; their images are read a group of rows at a time, best in order."""

    files: tuple[str, ...]
    ends: np.ndarray  # rows up to the end of each file
    rows: np.ndarray  # (N,) int64

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, i: int) -> tuple[str, int]:
        """The file of the i-th image, and its row there."""
        file = int(np.searchsorted(self.ends, self.rows[i], side="right"))
        return self.files[file], int(self.rows[i] - (self.ends[file - 1] if file else 0))

    def key(self, i: int) -> bytes:
        path, row = self.place(i)
        return f"{os.path.basename(path)}:{row}".encode()

    def name(self, i: int) -> str:
        return "{}, row {}".format(*self.place(i))

    def source(self, i: int) -> bytes | str:
        path, row = self.place(i)
        with READ_LOCK:
            ends = open_shard(path).ends
            group = int(np.searchsorted(ends, row, side="right"))
            found = read_image_group(path, group)[row - (int(ends[group - 1]) if group else 0)].as_py()
        if isinstance(found, dict):
            beside = found.get("path")
            found = found["bytes"] or (os.path.join(os.path.dirname(path), beside) if beside else b"")
        return found or b""

    def size(self, i: int) -> int:
        return len(self.source(i))

    def take(self, rows: np.ndarray) -> "ParquetIndex":
        return ParquetIndex(self.files, self.ends, self.rows[rows])


@dataclass(frozen=True)
class Shard:
    """An open file: its reader, the names of its two columns, the rows up to the end of each group."""

    reader: object  # pq.ParquetFile
    image: str
    label: str
    ends: np.ndarray


@lru_cache(maxsize=64)
def open_shard(path: str) -> Shard:
    """Open a file; raises LongtailError if it is missing, broken, empty or of another layout."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        reader = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise unreadable_error(path, error) from error
    names = reader.schema_arrow.names
    image, label = (next((name for name in known if name in names), None) for known in (IMAGE, LABEL))
    if image is None or label is None:
        raise LongtailError(f"{path} needs the columns image and label; it has {', '.join(names)}")
    kind = reader.schema_arrow.field(image).type
    if not (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0) and not is_binary(kind):
        raise LongtailError(f"{path}: column {image} is {kind}; it must be a struct with bytes, or binary")
    ends = np.cumsum([reader.metadata.row_group(g).num_rows for g in range(reader.num_row_groups)])
    return Shard(reader, image, label, ends)


def is_binary(kind) -> bool:
    """Whether a pyarrow type is bytes."""
    import pyarrow as pa

    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


@lru_cache(maxsize=4)
def read_image_group(path: str, group: int) -> object:
    """The image column of a group of rows, as one pyarrow array."""
    return read_column(path, open_shard(path).image, group)


def read_column(path: str, name: str, group: int | None = None) -> object:
    """One column of a file, or of a group of its rows, as one pyarrow array."""
    import pyarrow as pa

    reader = open_shard(path).reader
    try:
        table = reader.read([name]) if group is None else reader.read_row_group(group, [name])
        return pa.concat_arrays(table.column(0).chunks) if table.num_rows else table.column(0).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise unreadable_error(path, error) from error


def unreadable_error(path: str, error: Exception) -> LongtailError:
    """The error for a file that is not parquet, or is damaged."""
    return LongtailError(f"{path} is not a readable parquet file: {' '.join(str(error).split())[:160]}")


def read_raw_split(files: list[Path]) -> RawSplit:
    """All rows of some files, with the class names of their schema, or else the labels as they stand."""
    codes, found = [], {}
    for path in map(str, files):
        labels = read_column(path, open_shard(path).label)
        declared = read_class_names(path)
        for name in declared or ():
            found.setdefault(name, len(found))
        encoded = encode_labels(path, labels)
        values = [get_class_name(path, value, declared) for value in encoded.dictionary.to_pylist()]
        table = np.array([found.setdefault(value, len(found)) for value in values], dtype=np.int64)
        codes.append(table[encoded.indices.to_numpy(zero_copy_only=False)])
    ends = np.cumsum([len(part) for part in codes])
    return RawSplit(ParquetIndex(tuple(map(str, files)), ends, np.arange(ends[-1])), np.concatenate(codes), list(found))


def encode_labels(path: str, labels) -> object:
    """Labels as a dictionary array; raises LongtailError unless they are whole numbers or text, none missing."""
    import pyarrow as pa

    kind = labels.type.value_type if pa.types.is_dictionary(labels.type) else labels.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if labels.null_count or not (text or pa.types.is_integer(kind)):
        raise LongtailError(
            f"{path}: the labels are {kind} with {labels.null_count} missing; they must be whole numbers or names, for every row"
        )
    return labels if pa.types.is_dictionary(labels.type) else labels.dictionary_encode()


def get_class_name(path: str, value: int | str, declared: list[str] | None) -> str:
    """The class name of a label; raises LongtailError for a number that the schema gives no name."""
    if declared is None or isinstance(value, str):
        return str(value)
    if not 0 <= value < len(declared):
        raise LongtailError(f"{path}: label {value} has no name; the schema names {len(declared)} classes, from 0")
    return declared[value]


def read_class_names(path: str) -> list[str] | None:
    """The class names that Hugging Face's metadata keeps, if any."""
    shard = open_shard(path)
    try:
        return list(
            json.loads(shard.reader.schema_arrow.metadata[b"huggingface"])["info"]["features"][shard.label]["names"]
        )
    except (KeyError, TypeError, ValueError):
        return None
