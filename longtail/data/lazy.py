"""Images that stay where they are: N paths, or rows of parquet files, in bounded memory, each read when it is asked for.

`Files` stands wherever `Images` does in a `Split` if a set is too large for memory, or its views are cut from whole
photographs. A loader needs of it

    files = split.train            # Files: len(files), files.labels (N,) int64
    image = files.read(i)          # PIL image, RGB, of its own size; raises BadImage with the path
    files.take(rows)               # Files of some of them, for a shard or a subset
    files.name(i)                  # its path, or file and row, for a message

It pickles and forks cheaply (one pyarrow array of paths, about as many bytes as they have letters; no Python object for
each), so it can be handed to worker processes. `memory.load` turns it into `Images`.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from longtail.data import decode
from longtail.data.catalog import make_printable


class ImageIndex(Protocol):
    """Where N images are."""

    def __len__(self) -> int: ...
    def name(self, i: int) -> str: ...  # for a message
    def key(self, i: int) -> bytes: ...  # what stays the same where the whole set is moved
    def source(self, i: int) -> decode.Source: ...
    def size(self, i: int) -> int: ...  # bytes; -1 if it is not there
    def take(self, rows: np.ndarray) -> "ImageIndex": ...


@dataclass(frozen=True)
class PathIndex:
    """Paths below a folder (or absolute), as bytes of any encoding in one pyarrow array."""

    folder: str
    array: object  # pa.LargeBinaryArray

    def __len__(self) -> int:
        return len(self.array)

    def key(self, i: int) -> bytes:
        return self.array[i].as_py()

    def source(self, i: int) -> str:
        return os.path.join(self.folder, os.fsdecode(self.key(i)))

    def name(self, i: int) -> str:
        return make_printable(self.source(i))

    def size(self, i: int) -> int:
        try:
            return os.path.getsize(self.source(i))
        except OSError:
            return -1

    def take(self, rows: np.ndarray) -> "PathIndex":
        return PathIndex(self.folder, self.array.take(rows))


@dataclass(frozen=True)
class LazyImages:
    """Places of N images, their labels (N,) int64, and how many processes decode them (None: as many as there are cores)."""

    index: ImageIndex
    labels: Tensor
    workers: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, i: int) -> str:
        """Where the i-th image is."""
        return self.index.name(i)

    def read(self, i: int, min_side: int | None = None) -> Image.Image:
        """The i-th image, RGB; see `decode.read`. Raises BadImage."""
        return decode.read_image(self.index.source(i), self.name(i), min_side)

    def look(self, i: int, whole: bool = False) -> decode.ImageHeader:
        """What its header says; see `decode.look`. Raises BadImage."""
        return decode.read_header(self.index.source(i), self.name(i), whole)

    def take(self, rows: Sequence[int] | np.ndarray) -> "LazyImages":
        """Some of them, in the order asked for."""
        rows = np.asarray(rows, dtype=np.int64)
        return replace(self, index=self.index.take(rows), labels=self.labels[torch.from_numpy(rows)])

    def digest(self) -> str:
        """Sha256 of the labels, the paths as listed, and the sizes in bytes; no image is read."""
        sha = hashlib.sha256(np.ascontiguousarray(self.labels.numpy(), dtype="<i8"))
        for i in range(len(self)):
            sha.update(b"%b\0%d\0" % (self.index.key(i), self.index.size(i)))
        return sha.hexdigest()
