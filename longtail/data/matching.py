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
        sizes, missing = measure_sizes(index)
        theirs = [(subset.index, *measure_sizes(subset.index)) for subset in known if subset.index is not None]
        common = np.intersect1d(sizes, np.concatenate([their_sizes for _, their_sizes, _ in theirs]))
        common = common[common >= 0]
        own, bad = hash_files(index, np.isin(sizes, common))
        bad, seen = missing + bad, []
        for their_index, their_sizes, their_missing in theirs:
            there, errors = hash_files(their_index, np.isin(their_sizes, common))
            known_bad = known_bad + their_missing + errors
            seen.append(set(there.values()))
    digests = [own.get(i) for i in range(len(index))]
    return [np.array([digest in contents for digest in digests], dtype=bool) for contents in seen], bad, known_bad


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
