"""Training images of parquet files copied into one Arrow file in the cache, from which each is read by itself.

Parquet compresses groups of rows, so that an image costs the reading of its whole group. Training reads images in random
order. A shuffle inside windows of a few groups would read less, but a batch of sorted rows would then hold few classes.
"""

import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np

from longtail.data.decode import Source
from longtail.data.lazy import LazyImages, measure_source
from longtail.data.parquet import KEPT_GROUPS, ParquetIndex, read_image_group
from longtail.data.split import Split
from longtail.distributed import World
from longtail.errors import LongtailError
from longtail.runs.files import atomic_path
from longtail.tracking import ProgressReport

FOLDER = "images"  # of the copies, below the cache


@dataclass(frozen=True)
class UnpackedIndex:
    """The images of a `ParquetIndex`, read from a copy; `places` (N,) int64 are their rows in the copy."""

    parquet: ParquetIndex
    copy: str
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.parquet)

    def key(self, i: int) -> bytes:
        return self.parquet.key(i)

    def name(self, i: int) -> str:
        return self.parquet.name(i)

    def short_name(self, i: int) -> str:
        return self.parquet.short_name(i)

    def source(self, i: int) -> Source:
        content, path = (column[int(self.places[i])].as_py() for column in open_copy(self.copy))
        return self.parquet.choose_source(i, content, path)

    def size(self, i: int) -> int:
        content = open_copy(self.copy)[0][int(self.places[i])].as_buffer()
        return content.size if content else measure_source(self.source(i))

    def take(self, rows: np.ndarray) -> "UnpackedIndex":
        return UnpackedIndex(self.parquet.take(rows), self.copy, self.places[rows])

    def reading_order(self) -> np.ndarray:
        return np.argsort(self.places, kind="stable")


@lru_cache(maxsize=4)
def open_copy(path: str) -> tuple:
    """Return the columns of bytes and paths of a copy, which stay on the disk."""
    import pyarrow as pa

    table = pa.ipc.open_file(pa.memory_map(path)).read_all()
    return table.column("bytes"), table.column("path")


def is_slow_to_shuffle(index: ParquetIndex) -> bool:
    """Return whether images lie in more groups of rows than are kept in memory."""
    groups = set()
    for i in index.reading_order():
        groups.add(index.locate_in_group(i)[:2])
        if len(groups) > KEPT_GROUPS:
            return True
    return False


def name_copy(index: ParquetIndex) -> str:
    """Return the file name of a copy, by the paths, sizes and times of the parquet files and by the rows."""
    states = [(os.path.abspath(path), os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in index.files]
    key = hashlib.sha256(repr(states).encode() + index.rows.tobytes())
    return f"{key.hexdigest()[:32]}.arrow"


def write_copy(index: ParquetIndex, target: Path, report: ProgressReport) -> None:
    """Write images to a file, in the order of the parquet files."""
    import pyarrow as pa

    schema, done = pa.schema([("bytes", pa.large_binary()), ("path", pa.large_string())]), 0
    with pa.OSFile(str(target), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for (path, group), members in groupby(index.reading_order(), lambda i: index.locate_in_group(i)[:2]):
            rows = pa.array([index.locate_in_group(i)[2] for i in members])
            contents, paths = read_image_group(path, group)
            paths = pa.nulls(len(contents), pa.large_string()) if paths is None else paths
            columns = [contents.take(rows).cast(pa.large_binary()), paths.take(rows).cast(pa.large_string())]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            done += len(rows)
            report.progress("images copied from parquet", done, len(index))


def open_as_index(index: ParquetIndex, copy: Path) -> UnpackedIndex:
    """Return the images of an index as a copy holds them; raises OSError or ValueError if it is not there or damaged."""
    places = np.empty(len(index), dtype=np.int64)
    places[index.reading_order()] = np.arange(len(index))
    if len(open_copy(str(copy))[0]) != len(index):
        raise ValueError("the copy has another number of images")
    return UnpackedIndex(index, str(copy), places)


def unpack_training_images(split: Split, cache: Path, report: ProgressReport, world: World) -> Split:
    """Return a split whose training images can be read in any order: those in many groups of parquet rows are copied.

    Raises LongtailError if the disk has too little space for the copy.
    """
    images = split.train
    if not (isinstance(images, LazyImages) and isinstance(images.index, ParquetIndex)):
        return split
    index = images.index
    if not is_slow_to_shuffle(index):
        return split
    copy = cache / FOLDER / name_copy(index)

    def unpack() -> UnpackedIndex:
        try:
            return open_as_index(index, copy)
        except (OSError, ValueError):
            report.note(f"the training images are copied from parquet to {copy}, to be read in any order")
            check_space(index, copy)
            with atomic_path(copy) as temporary:
                write_copy(index, temporary, report)
            open_copy.cache_clear()
            return open_as_index(index, copy)

    return replace(split, train=replace(images, index=world.main_first(unpack)))


def check_space(index: ParquetIndex, copy: Path) -> None:
    """Make the folder of a copy; raises LongtailError if its disk has less space than the parquet files take."""
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        needed, free = sum(map(os.path.getsize, index.files)), shutil.disk_usage(copy.parent).free
    except OSError as error:
        raise LongtailError(f"{copy.parent} cannot be made: {error}; --cache names another folder") from error
    if needed > free:
        raise LongtailError(
            f"the training images take up to {needed / 1e9:.1f} GB in {copy.parent}, where {free / 1e9:.1f} GB are free; "
            "--cache names another folder"
        )


def measure_copies(cache: Path) -> int:
    """Return the bytes of all copies of training images in the cache, those of a killed run included."""
    sizes = 0
    for path in (cache / FOLDER).glob("*.arrow*"):
        with suppress(FileNotFoundError):  # a run has just finished this copy
            sizes += path.stat().st_size
    return sizes


def clear_copies(cache: Path) -> int:
    """Remove all copies of training images from the cache; returns the bytes that were freed.

    Raises LongtailError for a file that cannot be removed.
    """
    freed = measure_copies(cache)
    for path in (cache / FOLDER).glob("*.arrow*"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise LongtailError(f"{path} cannot be removed: {error}") from error
    return freed
