"""From files to one tensor: every image decoded by several threads, brought to one size, kept as bytes."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from longtail.data.decode import BadImage, suppress_pillow_warnings
from longtail.data.eval_transform import build_square_transform
from longtail.data.lazy import LazyImages
from longtail.data.split import ClassTable, Split, TensorImages
from longtail.errors import LongtailError

MEMORY_LIMIT = 4 << 30  # bytes of images; sets above it stay in their files
BLOCK = 64  # images that a thread takes at a time
MAX_SHOWN, MAX_KEPT = 20, 1000  # unreadable images named in a message, and remembered


@dataclass(frozen=True)
class ReadErrors:
    """How many images cannot be used, and the errors of the first of them."""

    count: int = 0
    first: tuple[BadImage, ...] = ()

    def __len__(self) -> int:
        return self.count

    @property
    def all_missing(self) -> bool:
        """Whether the images are not where they were looked for, rather than bad."""
        return all(error.reason == "no such file" for error in self.first)

    def __add__(self, other: "ReadErrors") -> "ReadErrors":
        return ReadErrors(self.count + other.count, (self.first + other.first)[:MAX_KEPT])


def fits_in_memory(split: Split, size: int) -> bool:
    """Whether all parts at `size` x `size` stay below the limit; the same on every machine, as results may depend on it."""
    return 3 * size * size * sum(map(len, split.subsets.values())) <= MEMORY_LIMIT


def load_into_memory(split: Split, size: int, skip_bad: bool) -> Split:
    """Read every image of a split of `Files`; raises LongtailError as `settled`."""
    return drop_unreadable(split, {name: decode_all(part, size) for name, part in split.subsets.items()}, skip_bad)


def keep_in_files(split: Split, skip_bad: bool, workers: int | None = None, size: int | None = None) -> Split:
    """Read every header, and images that look cut, but keep none; raises LongtailError as `settled`.

    With `skip_bad` every image is decoded as in training, for none that fails there may be left.
    """
    parts = {name: replace(part, workers=workers) for name, part in split.subsets.items()}
    found = {
        name: check_all(part, partial(part.read, min_side=size) if skip_bad else part.look)
        for name, part in parts.items()
    }
    return drop_unreadable(split, found, skip_bad)


def drop_unreadable(
    split: Split, found: dict[str, tuple[TensorImages | LazyImages, ReadErrors]], skip_bad: bool
) -> Split:
    """The split of what can be used; raises LongtailError naming the unusable images of all parts, unless to be left out."""
    bad = sum((faults for _, faults in found.values()), ReadErrors())
    if bad and not skip_bad:
        raise unreadable_error(bad, sum(map(len, split.subsets.values())), split.name)
    parts = {name: part for name, (part, _) in found.items()}
    empty = [name for name, part in parts.items() if not len(part)]
    if empty:
        raise LongtailError(f"{split.name} has no readable image in its {empty[0]} part")
    what = "1 unreadable image" if len(bad) == 1 else f"{len(bad):,} unreadable images"
    notes = [f"{what} left out, the first {bad.first[0]}"] if bad else []
    table = ClassTable.from_labels(list(split.classes.names), parts["train"].labels)
    return replace(split, classes=table, notes=split.notes + notes, **parts)


def decode_all(files: LazyImages, size: int) -> tuple[TensorImages, ReadErrors]:
    """Decode all images; -> those that can be, (N, 3, size, size) uint8, and what is wrong with the others."""
    out, sight = np.empty((len(files), 3, size, size), dtype=np.uint8), build_square_transform(size)

    def read(i: int) -> None:
        out[i] = sight.view(files.read(i, sight.min_side)).transpose(2, 0, 1)

    good, bad = try_each(read, len(files))
    images = TensorImages(torch.from_numpy(out), files.labels)
    return images.take(good) if bad else images, bad


def check_all(files: LazyImages, look: Callable[[int], object]) -> tuple[LazyImages, ReadErrors]:
    """Look at all images; -> those that can be read as far as that tells, and what is wrong with the others."""
    good, bad = try_each(look, len(files))
    return files.take(good) if bad else files, bad


def try_each(action: Callable[[int], object], n: int) -> tuple[np.ndarray, ReadErrors]:
    """Do something with each of n images, in as many threads as cores; -> positions where it went well, the faults."""
    good = np.ones(n, dtype=bool)

    def run(start: int) -> list[BadImage]:
        bad = []
        for i in range(start, min(start + BLOCK, n)):
            try:
                action(i)
            except BadImage as error:
                good[i] = False
                bad.append(BadImage(error.where, error.reason))  # without the frames that the first holds on to
        return bad

    first: list[BadImage] = []
    with suppress_pillow_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for errors in pool.map(run, range(0, n, BLOCK)):
            first += errors[: MAX_KEPT - len(first)]
    return np.flatnonzero(good), ReadErrors(n - int(good.sum()), tuple(first))


def unreadable_error(bad: ReadErrors, total: int, name: str) -> LongtailError:
    """The one message about all images that cannot be used."""
    shown = "; ".join(map(str, bad.first[:MAX_SHOWN]))
    more = f"; and {len(bad) - MAX_SHOWN:,} more, which `longtail inspect` lists" if len(bad) > MAX_SHOWN else ""
    if bad.all_missing:
        return LongtailError(
            f"{len(bad):,} of {total:,} images of {name} are not where listed: {shown}{more}. Is --root right?"
        )
    return LongtailError(
        f"{len(bad):,} of {total:,} images of {name} cannot be read: {shown}{more}. Mend them, or leave them out by --skip-bad"
    )
