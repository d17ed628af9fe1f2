"""Images that two sets share, by their content."""

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

from longtail.data.decode import BadImage, Source, explain_failure, hash_source
from longtail.data.eval_transform import build_square_transform
from longtail.data.lazy import ImageIndex, LazyImages, PixelIndex
from longtail.data.memory import ReadErrors, try_each
from longtail.data.split import Subset, TensorImages

T = TypeVar("T")


def find_shared(images: LazyImages, known: Subset) -> tuple[np.ndarray, ReadErrors, ReadErrors]:
    """Return which images have the content of an image of `known`, (N,) bool, and what cannot be read of either set.

    Files are compared by their bytes, and only read if their size occurs in both sets. Images of a known set, which come
    from no files, are compared by their pixels. An image that cannot be read is like no other.
    """
    ours, theirs, pixels = images.index, known.index, get_pixels(known)
    if pixels is None:
        assert theirs is not None
        sizes, missing = measure_sizes(ours)
        known_sizes, known_missing = measure_sizes(theirs)
        own, bad = hash_files(ours, np.isin(sizes, known_sizes) & (sizes >= 0))
        there, known_bad = hash_files(theirs, np.isin(known_sizes, sizes) & (known_sizes >= 0))
        bad, known_bad = missing + bad, known_missing + known_bad
    else:
        side, arrays = pixels.shape[-1], pixels.permute(0, 2, 3, 1).contiguous().numpy()
        transform = build_square_transform(side)
        own, bad = collect(lambda i: hash_pixels(transform.read(ours.source(i), ours.name(i))), range(len(ours)))
        there, known_bad = {i: hash_pixels(array) for i, array in enumerate(arrays)}, ReadErrors()
    seen, is_shared = set(there.values()), np.zeros(len(ours), dtype=bool)
    is_shared[[i for i, digest in own.items() if digest in seen]] = True
    return is_shared, bad, known_bad


def get_pixels(known: Subset) -> Tensor | None:
    """Return the pixels (N, 3, S, S) uint8 of a set that comes from no files, None for all others."""
    if isinstance(known.index, PixelIndex):
        return known.index.images
    return known.images if isinstance(known, TensorImages) and known.index is None else None


def measure_sizes(index: ImageIndex) -> tuple[np.ndarray, ReadErrors]:
    """Return the size of each image in bytes, (N,) int64, -1 for one that is missing, and the errors."""
    sizes, errors = collect(lambda i: measure_source(index.source(i), index.name(i)), range(len(index)))
    return np.array([sizes.get(i, -1) for i in range(len(index))], dtype=np.int64), errors


def measure_source(source: Source, where: str) -> int:
    """Return the bytes of an image file; raises BadImage, naming `where`, for one that is missing."""
    if isinstance(source, bytes):
        return len(source)
    try:
        return os.path.getsize(source)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise BadImage(where, explain_failure(error, source)) from error


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
