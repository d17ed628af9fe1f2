"""Images of a pool that a run knows already, by their content."""

import os
from collections.abc import Sequence
from itertools import compress

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
    shared, *_ = find_shared(pool, list(split.subsets.values()))
    return [next(compress(split.subsets, rows), None) for rows in zip(*shared, strict=True)]
