"""Images with equal content, within a subset and across subsets; files are read no further than needed to tell."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from longtail.data import LazyImages, TensorImages
from longtail.data.lazy import PathIndex

END_BYTES = 4096  # bytes at either end of a file that are compared first


@dataclass(frozen=True)
class Duplicates:
    """Content hashes (N,) of the images of all subsets one after another, with subset numbers and labels (N,)."""

    content: np.ndarray
    subset_index: np.ndarray  # (N,) positions in `subsets`
    labels: np.ndarray
    subsets: list[str]

    def count_within(self, subset: str) -> int:
        """Count the images of a subset that repeat an earlier image of the subset."""
        content = self.content[self.find_members(subset)]
        return len(content) - len(np.unique(content))

    def find_leaks(self, subset: str) -> np.ndarray:
        """Return the positions of a subset's images that are also training images."""
        members = self.find_members(subset)
        return members[np.isin(self.content[members], self.content[self.find_members("train")])]

    def find_conflicts(self) -> np.ndarray:
        """Return the positions of images that have several classes, equal images side by side."""
        pairs = np.unique(np.stack([self.content, self.labels.astype(np.uint64)]), axis=1)[0]
        conflicts = np.flatnonzero(np.isin(self.content, pairs[:-1][pairs[1:] == pairs[:-1]]))
        return conflicts[np.argsort(self.content[conflicts], kind="stable")]

    def find_train_copy(self, i: int) -> int:
        """Return the position of the first training image that equals the i-th image."""
        train = self.find_members("train")
        return int(train[np.flatnonzero(self.content[train] == self.content[i])[0]])

    def find_members(self, subset: str) -> np.ndarray:
        """Return the positions of a subset's images."""
        return np.flatnonzero(self.subset_index == self.subsets.index(subset))


def find_duplicates(subsets: dict[str, LazyImages | TensorImages]) -> Duplicates:
    """Compare the contents of all images of all subsets; an image that cannot be read equals no other."""
    images = list(subsets.values())
    subset_index = np.repeat(np.arange(len(images)), [len(subset) for subset in images])
    labels = np.concatenate([subset.labels.numpy() for subset in images])
    return Duplicates(hash_images(images), subset_index, labels, list(subsets))


def hash_images(images: Sequence[LazyImages | TensorImages]) -> np.ndarray:
    """Return a number (N,) for the content of every image."""
    indexes = [subset.index for subset in images if isinstance(subset, LazyImages)]
    paths = [index for index in indexes if isinstance(index, PathIndex)]
    if not indexes:
        pixels = (image for subset in images if isinstance(subset, TensorImages) for image in subset.images)
        return np.fromiter((hash_bytes(image.numpy().tobytes()) for image in pixels), dtype=np.uint64)
    if len(paths) == len(indexes):
        return hash_files(paths)
    sources = (index.source(i) for index in indexes for i in range(len(index)))
    hashes = (hash_file(s) if isinstance(s, str) else hash_bytes(s or b"\0row\0%d" % i) for i, s in enumerate(sources))
    return np.fromiter(hashes, dtype=np.uint64)


def hash_files(indexes: Sequence[PathIndex]) -> np.ndarray:
    """Return a number (N,) for the content of every file, and read only files that may equal another.

    A file is read only if another has its size, and to the end only if another has its first and last bytes.
    """
    starts = np.cumsum([0, *map(len, indexes)])

    def get_path(i: int) -> str:
        subset = int(np.searchsorted(starts, i, side="right")) - 1
        return indexes[subset].source(int(i - starts[subset]))

    inodes = np.fromiter(iterate_inodes(indexes), dtype=np.dtype((np.int64, 2)))
    # several entries may list the same file
    _, first, file_index = np.unique(inodes[:, 0], return_index=True, return_inverse=True)
    keys = inodes[first, 1].astype(np.uint64)
    for compute_hash in (hash_ends, hash_file):
        _, group, sizes = np.unique(keys, return_inverse=True, return_counts=True)
        for k in np.flatnonzero(sizes[group] > 1):
            keys[k] = compute_hash(get_path(first[k]))
    return keys[file_index]


def iterate_inodes(indexes: Sequence[PathIndex]) -> Iterator[tuple[int, int]]:
    """Yield for each path a number that all names of a file share, and the size of the file (-1 if it is missing)."""
    for index in indexes:
        for i in range(len(index)):
            path = index.source(i)
            try:
                status = os.stat(path)
                yield hash((status.st_dev, status.st_ino)), status.st_size
            except OSError:
                yield hash(path), -1


def hash_ends(path: str) -> int:
    """Hash the size of a file and its first and last bytes."""
    return hash_content(path, END_BYTES)


def hash_file(path: str) -> int:
    """Hash all bytes of a file."""
    return hash_content(path, None)


def hash_content(path: str, end: int | None) -> int:
    """Hash a file, or `end` bytes at either end; an empty or unreadable file gets the hash of its path."""
    try:
        size = os.path.getsize(path) if os.path.isfile(path) else 0
        with open(path, "rb") if size else open(os.devnull, "rb") as file:
            content = file.read(end)
            if end and size > end:
                file.seek(max(size - end, end))
                content += file.read() + size.to_bytes(8)
    except OSError:
        content = b""
    return hash_bytes(content or b"\0path\0" + os.fsencode(path))


def hash_bytes(content: bytes) -> int:
    """Hash bytes to 64 bits (BLAKE2b)."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())
