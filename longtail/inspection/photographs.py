"""A few photographs of each class, spread over its training images, as small pictures for the page."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from longtail.data import LazyImages
from longtail.data.decode import BadImage, suppress_pillow_warnings
from longtail.inspection.facts import Facts
from longtail.report.photographs import LARGEST, Photograph, encode_photograph

PHOTOGRAPHS = 3  # of each class
MAX_PICTURED, FULL_SIZED = 500, 100  # classes with photographs; with more than FULL_SIZED the photographs are smaller
SMALL = 64  # pixels of a longer side
TRIES = 12  # images of a class that are tried, as some may be unreadable


@dataclass(frozen=True)
class PicturedClass:
    """A class with its number of training images and some of these."""

    name: str
    images: int
    photographs: list[Photograph]


def pick_photographs(facts: Facts, classes: Sequence[int]) -> list[PicturedClass]:
    """Read up to three training images of each of the classes, in the order given; unreadable images are passed over."""
    labels = facts.subsets["train"].labels.numpy()
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(len(facts.classes) + 1))
    largest = LARGEST if len(classes) <= FULL_SIZED else SMALL

    def read(c: int) -> PicturedClass:
        members, photographs = order[starts[c] : starts[c + 1]], []
        for i in spread(members):
            if photograph := read_photograph(facts, int(i), largest):
                photographs.append(photograph)
            if len(photographs) == PHOTOGRAPHS:
                break
        return PicturedClass(facts.classes.names[c], len(members), photographs)

    with suppress_pillow_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(read, classes))


def spread(members: np.ndarray) -> Iterator[int]:
    """Yield the first, the middle and the last of some positions, and then a few that lie between."""
    tried = np.linspace(0, len(members) - 1, PHOTOGRAPHS).round() if len(members) else np.empty(0)
    more = np.linspace(0, len(members) - 1, TRIES).round() if len(members) else np.empty(0)
    yield from members[list(dict.fromkeys([*tried.astype(int).tolist(), *more.astype(int).tolist()]))]


def read_photograph(facts: Facts, i: int, largest: int) -> Photograph | None:
    """Read the i-th training image as a small picture; None if it cannot be read."""
    images = facts.subsets["train"]
    name = f"image {i}" if images.index is None else images.index.short_name(i)
    if not isinstance(images, LazyImages):
        from PIL import Image

        pixels = images.images[i].permute(1, 2, 0).numpy()
        return Photograph(encode_photograph(Image.fromarray(pixels), largest), name)
    try:
        return Photograph(encode_photograph(images.read(i, largest), largest), name)
    except BadImage:
        return None
