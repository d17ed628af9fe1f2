"""Images that a data set lists more than once, by the places of their files, which costs no reading."""

import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from longtail.data.lazy import ImageIndex, LazyImages, PathIndex
from longtail.data.parquet import ParquetIndex

CHUNK = 8_192  # paths at a time


def note_repeats(subsets: Mapping[str, LazyImages]) -> list[str]:
    """Return notes on the images of val and test that are in train too, and on the images that train lists twice."""
    places = {subset: hash_places(images.index) for subset, images in subsets.items()}
    notes, train = [], places["train"]
    train.sort()  # in place: a set may have millions of images
    for subset in [name for name in places if name != "train"]:
        if shared := int(np.isin(places[subset], train).sum()):
            notes.append(
                f"{shared:,} of {len(places[subset]):,} {subset} images are in train too, as the same files, which inflates "
                f"{subset} accuracy"
            )
    if twice := int((train[1:] == train[:-1]).sum()):
        notes.append(f"train lists {twice:,} images more than once, as the same files")
    return notes


def hash_places(index: ImageIndex) -> np.ndarray:
    """Return a number for the file, or file and row, of each image, (N,) int64; another name of a folder gives the same."""
    if isinstance(index, ParquetIndex):
        index = replace(index, files=tuple(map(os.path.realpath, index.files)))
        return np.fromiter((hash(index.locate(i)) for i in range(len(index))), np.int64, len(index))
    if not isinstance(index, PathIndex):
        return np.arange(len(index))
    folder, hashes = os.fsencode(os.path.realpath(index.folder)) + b"/", np.empty(len(index), np.int64)
    for start in range(0, len(index), CHUNK):
        paths = [path if path[:1] == b"/" else folder + path for path in index.array.slice(start, CHUNK).to_pylist()]
        hashes[start : start + len(paths)] = [
            hash(os.path.normpath(path) if b"/." in path or b"//" in path else path) for path in paths
        ]
    return hashes
