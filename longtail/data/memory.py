"""From files to tensors: several threads decode every image, bring it to one size, and keep it as bytes."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from longtail.data.decode import BadImage, suppress_pillow_warnings
from longtail.data.eval_transform import build_square_transform
from longtail.data.lazy import LazyImages, PixelIndex
from longtail.data.split import ClassTable, Split, Subset, TensorImages
from longtail.errors import LongtailError

MEMORY_LIMIT = 4 << 30  # bytes of images; larger sets stay in their files
BLOCK = 64  # images that a thread takes at a time
MAX_SHOWN, MAX_KEPT = 20, 1000  # unreadable images named in a message, and remembered


@dataclass(frozen=True)
class ReadErrors:
    """The number of images that cannot be used, and the first of their errors."""

    count: int = 0
    first: tuple[BadImage, ...] = ()

    def __len__(self) -> int:
        return self.count

    def are_all_missing(self, total: int) -> bool:
        """Return whether every one of `total` images is missing, which tells of a wrong root rather than bad images."""
        return self.count == total and all(error.reason == "no such file" for error in self.first)

    def __add__(self, other: "ReadErrors") -> "ReadErrors":
        return ReadErrors(self.count + other.count, (self.first + other.first)[:MAX_KEPT])


def fits_in_memory(split: Split, size: int) -> bool:
    """Return whether all subsets at `size` x `size` stay below the limit.

    The limit is the same on every machine, as results may depend on the answer.
    """
    return 3 * size * size * sum(map(len, split.subsets.values())) <= MEMORY_LIMIT


def get_lazy_subsets(split: Split) -> dict[str, LazyImages]:
    """Return the subsets of a split whose images are in files."""
    return {name: images for name, images in split.subsets.items() if isinstance(images, LazyImages)}


def load_into_memory(split: Split, size: int, skip_bad: bool, fit: str = "cut") -> Split:
    """Read every image of a split of `LazyImages`; raises LongtailError as `drop_unreadable` does."""
    decoded = {name: decode_all(images, size, fit) for name, images in get_lazy_subsets(split).items()}
    return drop_unreadable(split, decoded, skip_bad)


def leave_in_files(split: Split, workers: int | None = None) -> Split:
    """Return the split with every subset as `LazyImages`, decoded by `workers` processes; no image is read."""

    def leave(images: Subset) -> LazyImages:
        if isinstance(images, LazyImages):
            return replace(images, workers=workers)
        assert isinstance(images, TensorImages)
        return LazyImages(PixelIndex(images.images), images.labels, workers)

    return replace(split, train=leave(split.train), test=leave(split.test), val=split.val and leave(split.val))


def keep_in_files(split: Split, skip_bad: bool, workers: int | None = None, size: int | None = None) -> Split:
    """Read every header, and images that seem cut off, but keep none; raises LongtailError as `drop_unreadable` does.

    With `skip_bad` every image is decoded as in training, so that no image is left that fails there.
    """
    checked = {}
    for name, images in get_lazy_subsets(split).items():
        images = replace(images, workers=workers)
        checked[name] = check_all(images, partial(images.read, min_side=size) if skip_bad else images.read_header)
    return drop_unreadable(split, checked, skip_bad)


def check_tested_images(split: Split, min_side: int | None) -> None:
    """Raise LongtailError unless all validation and test images that stay in files can be decoded.

    Training decodes them after an epoch at the earliest, in the worst case after the last.
    """
    tested = {name: images for name, images in get_lazy_subsets(split).items() if name != "train"}
    checked = (check_all(images, partial(images.read, min_side=min_side)) for images in tested.values())
    if bad := sum((errors for _, errors in checked), ReadErrors()):
        raise unreadable_error(bad, sum(map(len, tested.values())), split.name)


def drop_unreadable(
    split: Split, checked: Mapping[str, tuple[TensorImages | LazyImages, ReadErrors]], skip_bad: bool
) -> Split:
    """Return the split of the usable images of each subset.

    Raises LongtailError for a subset without usable images and, unless `skip_bad`, for any unusable image.
    """
    bad = sum((errors for _, errors in checked.values()), ReadErrors())
    if bad and not skip_bad:
        raise unreadable_error(bad, sum(map(len, split.subsets.values())), split.name)
    subsets = {name: images for name, (images, _) in checked.items()}
    empty = [name for name, images in subsets.items() if not len(images)]
    if empty:
        raise LongtailError(f"{split.name} has no readable image in its {empty[0]} subset")
    number = "1 unreadable image" if len(bad) == 1 else f"{len(bad):,} unreadable images"
    notes = split.notes + ([f"{number} left out, the first {bad.first[0]}"] if bad else [])
    table = ClassTable.from_labels(list(split.classes.names), subsets["train"].labels)
    train, test, val = subsets["train"], subsets["test"], subsets.get("val")
    return replace(split, classes=table, train=train, test=test, notes=notes, val=val)


def decode_all(images: LazyImages, size: int, fit: str = "cut") -> tuple[TensorImages, ReadErrors]:
    """Decode all images; returns the readable ones, (N, 3, size, size) uint8, and the errors of the rest."""
    pixels, transform = np.empty((len(images), 3, size, size), dtype=np.uint8), build_square_transform(size, fit)

    def decode(i: int) -> None:
        pixels[i] = transform.transform(images.read(i, transform.min_side)).transpose(2, 0, 1)

    good, bad = try_each(decode, len(images))
    decoded = TensorImages(torch.from_numpy(pixels), images.labels, images.index, images.groups)
    return decoded.take(good) if bad else decoded, bad


def check_all(images: LazyImages, check: Callable[[int], object]) -> tuple[LazyImages, ReadErrors]:
    """Check all images; returns the images that pass and the errors of the rest."""
    good, bad = try_each(check, len(images))
    return images.take(good) if bad else images, bad


def try_each(action: Callable[[int], object], n: int) -> tuple[np.ndarray, ReadErrors]:
    """Call `action` with each of n positions in one thread per core; returns positions that succeed and the errors."""
    is_good = np.ones(n, dtype=bool)

    def run(start: int) -> list[BadImage]:
        bad = []
        for i in range(start, min(start + BLOCK, n)):
            try:
                action(i)
            except BadImage as error:
                is_good[i] = False
                # a new error without traceback, whose frames would keep the image in memory
                bad.append(BadImage(error.where, error.reason))
        return bad

    first: list[BadImage] = []
    with suppress_pillow_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for errors in pool.map(run, range(0, n, BLOCK)):
            first += errors[: MAX_KEPT - len(first)]
    return np.flatnonzero(is_good), ReadErrors(n - int(is_good.sum()), tuple(first))


def unreadable_error(bad: ReadErrors, total: int, name: str) -> LongtailError:
    """Return the one error for all images that cannot be used."""
    shown = "; ".join(map(str, bad.first[:MAX_SHOWN]))
    more = f"; and {len(bad) - MAX_SHOWN:,} more, which `longtail inspect` lists" if len(bad) > MAX_SHOWN else ""
    if bad.are_all_missing(total):
        return LongtailError(
            f"{len(bad):,} of {total:,} images of {name} are not where listed: {shown}{more}. Is --root right?"
        )
    return LongtailError(
        f"{len(bad):,} of {total:,} images of {name} cannot be read: {shown}{more}. "
        "Repair them, or leave them out by --skip-bad"
    )
