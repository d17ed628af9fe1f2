"""Images that two sets share, by their content."""

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

from longtail.data.decode import hash_source
from longtail.data.eval_transform import build_square_transform
from longtail.data.lazy import ImageIndex, LazyImages, PixelIndex
from longtail.data.memory import ReadErrors, try_each
from longtail.data.split import Subset, TensorImages

T = TypeVar("T")


def find_shared(images: LazyImages, known: Sequence[Subset]) -> tuple[list[np.ndarray], ReadErrors, ReadErrors]:
    """Return which images have the content of an image of each known subset, (N,) bool each, and the read errors of both sides.

    The images are read once for all subsets. Files are compared by their bytes, and only hashed if their size occurs on
    both sides. Subsets of a set without files are compared by their pixels. An image that cannot be read is like no other.
    """
    index, pixels = images.index, [found for subset in known if (found := get_pixels(subset)) is not None]
    bad, known_bad = ReadErrors(), ReadErrors()
    if pixels:
        transform = build_square_transform(pixels[0].shape[-1])
        own, bad = collect(lambda i: hash_pixels(transform.read(index.source(i), index.name(i))), range(len(index)))
        seen = [{hash_pixels(array) for array in each.permute(0, 2, 3, 1).numpy()} for each in pixels]
    else:
        sizes, theirs = measure_sizes(index), [subset.index for subset in known if subset.index is not None]
        their_sizes, seen = [measure_sizes(each) for each in theirs], []
        common = [-1, *np.intersect1d(sizes, np.concatenate(their_sizes))]  # -1: hashing tells why a file is missing
        own, bad = hash_files(index, np.isin(sizes, common))
        for their_index, measured in zip(theirs, their_sizes, strict=True):
            there, errors = hash_files(their_index, np.isin(measured, common))
            known_bad = known_bad + errors
            seen.append(set(there.values()))
    digests = [own.get(i) for i in range(len(index))]
    return [np.array([digest in contents for digest in digests], dtype=bool) for contents in seen], bad, known_bad


def get_pixels(known: Subset) -> Tensor | None:
    """Return the pixels (N, 3, S, S) uint8 of a set that comes from no files, None for all others."""
    if isinstance(known.index, PixelIndex):
        return known.index.images
    return known.images if isinstance(known, TensorImages) and known.index is None else None


def measure_sizes(index: ImageIndex) -> np.ndarray:
    """Return the size of each image in bytes, (N,) int64, -1 for one that is missing."""
    return np.array([index.size(i) for i in range(len(index))], dtype=np.int64)


def hash_files(index: ImageIndex, is_wanted: np.ndarray) -> tuple[dict[int, bytes], ReadErrors]:
    """Return the sha256 of the wanted images (N,) bool by their positions, and the errors."""
    return collect(lambda i: hash_source(index.source(i), index.name(i)), np.flatnonzero(is_wanted).tolist())


def hash_pixels(pixels: np.ndarray) -> bytes:
    """Compute the sha256 of an image (S, S, 3) uint8."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).digest()


def collect(measure: Callable[[int], T], positions: Sequence[int]) -> tuple[dict[int, T], ReadErrors]:
    """Return what is measured at each position where this succeeds, and the errors of the others."""
    found: dict[int, T] = {}

    def keep(i: int) -> None:
        found[positions[i]] = measure(positions[i])

    return found, try_each(keep, len(positions))[1]
