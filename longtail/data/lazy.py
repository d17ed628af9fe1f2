"""Images that stay in their files and are read on demand: N paths, or rows of parquet files, in bounded memory.

`LazyImages` stands for `TensorImages` in a `Split` if a set is too large for memory, or if its views are cut from whole
photographs. A loader uses

    images = split.train           # LazyImages: len(images), images.labels (N,) int64
    image = images.read(i)         # PIL image, RGB, of any size; raises BadImage with the path
    images.take(rows)              # LazyImages of some rows, for a shard or a subset
    images.name(i)                 # the path, or file and row, for a message

Worker processes receive a `LazyImages` cheaply: all paths are one pyarrow array, without a Python object for each.
`memory.load_into_memory` reads a split of `LazyImages` into `TensorImages`.
"""

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from longtail.data import decode
from longtail.data.catalog import make_printable, shorten_path

if TYPE_CHECKING:
    import pyarrow as pa


class ImageIndex(Protocol):
    """The locations of N images."""

    def __len__(self) -> int: ...
    def name(self, i: int) -> str: ...  # for a message
    def short_name(self, i: int) -> str: ...  # for results, which others may read: no absolute path
    def key(self, i: int) -> bytes: ...  # stays the same if the whole set is moved
    def source(self, i: int) -> decode.Source: ...
    def size(self, i: int) -> int: ...  # bytes; -1 if the image is missing
    def take(self, rows: np.ndarray) -> "ImageIndex": ...
    def reading_order(self) -> np.ndarray: ...  # positions (N,) in the order in which the files are read fastest


@dataclass(frozen=True)
class PathIndex:
    """N paths below a folder (or absolute), as bytes of any encoding in one pyarrow array.

    `prefix` is the folder's own name where it belongs to the names of the images, such as test.
    """

    folder: str
    array: "pa.LargeBinaryArray"
    prefix: str = ""

    def __len__(self) -> int:
        return len(self.array)

    def key(self, i: int) -> bytes:
        return self.array[i].as_py()

    def source(self, i: int) -> str:
        return os.path.join(self.folder, os.fsdecode(self.key(i)))

    def name(self, i: int) -> str:
        return make_printable(self.source(i))

    def short_name(self, i: int) -> str:
        return shorten_path(os.path.join(self.prefix, os.fsdecode(self.key(i))), self.folder)

    def size(self, i: int) -> int:
        return measure_source(self.source(i))

    def take(self, rows: np.ndarray) -> "PathIndex":
        return replace(self, array=self.array.take(rows))

    def reading_order(self) -> np.ndarray:
        return np.arange(len(self))


@dataclass(frozen=True)
class PixelIndex:
    """N images in memory, (N, 3, H, W) uint8, that are read as PNG files."""

    images: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def key(self, i: int) -> bytes:
        return hashlib.sha256(self.images[i].contiguous().numpy().data).digest()

    def source(self, i: int) -> bytes:
        content = io.BytesIO()
        Image.fromarray(self.images[i].permute(1, 2, 0).numpy()).save(content, "PNG", compress_level=1)
        return content.getvalue()

    def name(self, i: int) -> str:
        return f"image {i}"

    def short_name(self, i: int) -> str:
        return self.name(i)

    def size(self, i: int) -> int:
        return self.images[i].numel()

    def take(self, rows: np.ndarray) -> "PixelIndex":
        return PixelIndex(self.images[torch.from_numpy(rows)])

    def reading_order(self) -> np.ndarray:
        return np.arange(len(self))


def measure_source(source: decode.Source) -> int:
    """Return the bytes of an image file, -1 if the file is missing."""
    try:
        return len(source) if isinstance(source, bytes) else os.path.getsize(source)
    except (OSError, ValueError):  # ValueError: a path with a null character
        return -1


def take_index(index: ImageIndex | None, rows: Sequence[int] | np.ndarray) -> ImageIndex | None:
    """Return the index of some of the images, in the order of `rows`; None stays None."""
    return None if index is None else index.take(np.asarray(rows, dtype=np.int64))


@dataclass(frozen=True)
class LazyImages:
    """The index of N images, their labels (N,) int64, and the number of processes that decode (None: one for each core).

    `groups` numbers the group of each image (N,), such as its track, where the data set has groups.
    """

    index: ImageIndex
    labels: Tensor
    workers: int | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, i: int) -> str:
        """Return the location of the i-th image for a message."""
        return self.index.name(i)

    def read(self, i: int, min_side: int | None = None) -> Image.Image:
        """Read the i-th image as RGB, as `decode.read_image` does; raises BadImage."""
        return decode.read_image(self.index.source(i), self.name(i), min_side)

    def read_header(self, i: int, whole: bool = False) -> decode.ImageHeader:
        """Read the header of the i-th image, as `decode.read_header` does; raises BadImage."""
        return decode.read_header(self.index.source(i), self.name(i), whole)

    def take(self, rows: Sequence[int] | np.ndarray) -> "LazyImages":
        """Return some of the images, in the order of `rows`."""
        rows = np.asarray(rows, dtype=np.int64)
        groups = None if self.groups is None else self.groups[rows]
        return replace(self, index=self.index.take(rows), labels=self.labels[torch.from_numpy(rows)], groups=groups)

    def reading_order(self) -> np.ndarray:
        """Return positions (N,) in the order in which the files are read fastest."""
        return self.index.reading_order()

    def digest(self) -> str:
        """Compute the sha256 of the labels, the paths as listed, and the sizes in bytes; no image is read."""
        sha = hashlib.sha256(self.labels.numpy().astype("<i8").tobytes())
        for i in range(len(self)):
            sha.update(b"%b\0%d\0" % (self.index.key(i), self.index.size(i)))
        return sha.hexdigest()
