"""Images that are the same byte for byte, within a part and across parts, read no further than needed to tell."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from longtail.data import LazyImages, TensorImages
from longtail.data.lazy import PathIndex

END_BYTES = 4096  # bytes at either end of a file that are compared first


@dataclass(frozen=True)
class Duplicates:
    """Numbers (N,) of the contents of all parts' images one after another, equal where the images are; parts and labels."""

    content: np.ndarray
    part: np.ndarray  # (N,) places in `parts`
    labels: np.ndarray
    subsets: list[str]

    def within(self, part: str) -> int:
        """Images of a part beyond the first of their kind."""
        content = self.content[self.members(part)]
        return len(content) - len(np.unique(content))

    def leaks(self, part: str) -> np.ndarray:
        """Positions of a part's images that are training images, too."""
        found = self.members(part)
        return found[np.isin(self.content[found], self.content[self.members("train")])]

    def conflicts(self) -> np.ndarray:
        """Positions of images that are there under several classes, side by side."""
        pairs = np.unique(np.stack([self.content, self.labels.astype(np.uint64)]), axis=1)[0]
        found = np.flatnonzero(np.isin(self.content, pairs[:-1][pairs[1:] == pairs[:-1]]))
        return found[np.argsort(self.content[found], kind="stable")]

    def twin(self, i: int) -> int:
        """The first training image with the content of the i-th image."""
        train = self.members("train")
        return int(train[np.flatnonzero(self.content[train] == self.content[i])[0]])

    def members(self, part: str) -> np.ndarray:
        """Positions of a part's images."""
        return np.flatnonzero(self.part == self.subsets.index(part))


def find_duplicates(parts: dict[str, LazyImages | TensorImages]) -> Duplicates:
    """Compare the contents of all images of all parts; what cannot be read equals nothing."""
    images = list(parts.values())
    if not isinstance(images[0], LazyImages):
        found = (hash_bytes(image.numpy().tobytes()) for part in images for image in part.images)
        content = np.fromiter(found, dtype=np.uint64)
    elif all(isinstance(part.index, PathIndex) for part in images):
        content = hash_files([part.index for part in images])
    else:
        sources = (part.index.source(i) for part in images for i in range(len(part)))
        found = (
            hash_file(s) if isinstance(s, str) else hash_bytes(s or b"\0row\0%d" % i) for i, s in enumerate(sources)
        )
        content = np.fromiter(found, dtype=np.uint64)
    part = np.repeat(np.arange(len(images)), [len(part) for part in images])
    return Duplicates(content, part, np.concatenate([part.labels.numpy() for part in images]), list(parts))


def hash_files(places: list[PathIndex]) -> np.ndarray:
    """Numbers of all files' contents; a file is read only where others have its size, and to its end only where ends agree."""
    starts = np.cumsum([0, *map(len, places)])

    def path(i: int) -> str:
        part = int(np.searchsorted(starts, i, side="right")) - 1
        return places[part].source(int(i - starts[part]))

    found = np.fromiter(iterate_inodes(places), dtype=np.dtype((np.int64, 2)))
    _, first, file_of = np.unique(
        found[:, 0], return_index=True, return_inverse=True
    )  # a file may be listed many times
    keys = found[first, 1].astype(np.uint64)
    for reading in (hash_ends, hash_file):
        _, which, times = np.unique(keys, return_inverse=True, return_counts=True)
        for k in np.flatnonzero(times[which] > 1):
            keys[k] = reading(path(first[k]))
    return keys[file_of]


def iterate_inodes(places: list[PathIndex]) -> Iterator[tuple[int, int]]:
    """Of each file a number that its other names share, and its size; what is not there shares none."""
    for part in places:
        for i in range(len(part)):
            path = part.source(i)
            try:
                status = os.stat(path)
                yield hash((status.st_dev, status.st_ino)), status.st_size
            except OSError:
                yield hash(path), -1


def hash_ends(path: str) -> int:
    """The number of a file's size and its first and last bytes."""
    return hash_part(path, END_BYTES)


def hash_file(path: str) -> int:
    """The number of all bytes of a file."""
    return hash_part(path, None)


def hash_part(path: str, end: int | None) -> int:
    """The number of what is read; of the path where that is nothing, so that it equals no other."""
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
    """64 bits that differ where contents do."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())
