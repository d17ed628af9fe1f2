"""Images of a pool that a run knows already, by their content."""

import os
from collections.abc import Sequence

import pyarrow as pa
import torch

from longtail.data import LazyImages, Split
from longtail.data.lazy import PathIndex
from longtail.data.matching import find_shared


def find_known_images(paths: Sequence[str], split: Split) -> list[str | None]:
    """Return for each file the subset of a split that holds an image of the same content, None if there is none.

    A file that cannot be read is in no subset.
    """
    index = PathIndex("", pa.array([os.fsencode(path) for path in paths], pa.large_binary()))
    pool = LazyImages(index, torch.zeros(len(paths), dtype=torch.int64))
    known: list[str | None] = [None] * len(paths)
    for name, images in split.subsets.items():
        is_shared, *_ = find_shared(pool, images)
        known = [kind or (name if here else None) for kind, here in zip(known, is_shared, strict=True)]
    return known
