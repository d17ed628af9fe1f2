"""Data sets by name or by path, ready as splits."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from longtail.data.cifar import cifar_pool
from longtail.data.counts import exponential_counts, long_tailed_indices, take
from longtail.data.files import printable
from longtail.data.holdout import held_out
from longtail.data.memory import fits, in_memory, left_in_files
from longtail.data.own import SUFFIXES, Listing, Reading, listing_of, split_of
from longtail.data.published import LISTS, published_listing
from longtail.data.split import ClassTable, Images, Split
from longtail.errors import LongtailError, expanded, unknown

DIGITS_TEST, DIGITS_LARGEST = 70, 104  # a class; the rarest digit has 174 images
CIFAR_IMAGES = 50_000


def load_split(data: str, imbalance: float | None, root: str | None = None, reading: Reading = Reading()) -> Split:
    """The named data set, or one's own at a path; its draws are the same every time (seed 0), whatever the training seed.

    An imbalance of None leaves a set as it is. What fits in memory is read, every image brought to `reading.size`; the
    rest stays `Files`. Raises LongtailError for an unknown name, and for files that are missing, broken or too few.
    """
    if not isinstance(root, str | os.PathLike | None):
        raise LongtailError(f"root is {root!r}; it takes the path of a folder")
    if data not in LONG_TAILED:
        split = split_of(name_of(data), listing(data, root, reading), imbalance)
        if reading.size and fits(split, reading.size):
            return in_memory(split, reading.size, reading.skip_bad)
        return left_in_files(split, reading.skip_bad, reading.workers, reading.size)
    if imbalance is None:
        raise LongtailError(f"{data} is cut from a balanced set and needs a number for imbalance")
    refuse_own(data, reading)
    split = averaged(LONG_TAILED[data](imbalance, root), reading.size)
    if not reading.val_share:
        return split
    kept, held = held_out(split.train.labels, reading.val_share)
    train, val = split.train.take(kept), split.train.take(held)
    return replace(split, classes=ClassTable.of(list(split.classes.names), train.labels), train=train, val=val)


def averaged(split: Split, size: int | None) -> Split:
    """The images of a known set averaged in squares of pixels to a side of `size`; None leaves them as they are.

    Raises LongtailError where `size` does not divide their side.
    """
    side = split.train.images.shape[-1]
    if size in (None, side):
        return split
    if side % size:
        raise LongtailError(
            f"{split.name} has images of {side} x {side}; the views are for {size} x {size}, which does not divide them"
        )

    def shrunk(part: Images) -> Images:
        return Images(avg_pool2d(part.images.float(), side // size).round().byte(), part.labels)

    return replace(split, train=shrunk(split.train), test=shrunk(split.test))


def listing(data: str, root: str | None, reading: Reading) -> Listing:
    """What is listed of one's own data or of published lists, before any image is read."""
    if data in LISTS:
        refuse_own(data, reading)
        return published_listing(data, root)
    if not is_path(data):
        raise unknown("data", data, SOURCES)
    return listing_of(data, root, reading)


def is_path(data: str) -> bool:
    """Whether data is meant as a path, not as the name of a known set."""
    return data not in SOURCES and (os.sep in data or os.path.exists(data))


def name_of(data: str) -> str:
    """A short name that can be shown: of a path, its last part, blanks as dashes."""
    if not is_path(data):
        return data
    path = Path(os.path.abspath(data))
    return "-".join(printable(path.stem if path.suffix.lower() in SUFFIXES else path.name).split())


def refuse_own(data: str, reading: Reading) -> None:
    """Raise LongtailError for parts of one's own beside a known set."""
    for flag in ("val", "test", "test_share"):
        if getattr(reading, flag):
            raise LongtailError(f"{data} has its own test part; leave --{flag.replace('_', '-')} out")


def digits_lt(imbalance: float, root: str | None = None) -> Split:
    """Scikit-learn's 1,797 handwritten digits of 8 x 8: a balanced test part of 70 a class, a training part of at most 104."""
    from sklearn.datasets import load_digits

    if root is not None:
        raise LongtailError("digits-lt comes with scikit-learn and reads no files; leave --root out")
    found = load_digits()
    grey = torch.from_numpy((found.images * (255 / 16)).round().astype(np.uint8))
    images, labels = grey[:, None].repeat(1, 3, 1, 1), torch.from_numpy(found.target.astype(np.int64))
    counts = exponential_counts(10, DIGITS_LARGEST, imbalance)
    pools = np.reshape(long_tailed_indices(labels, [DIGITS_TEST + DIGITS_LARGEST] * 10), (10, -1))
    test = pools[:, :DIGITS_TEST].ravel()
    train = np.concatenate([pool[DIGITS_TEST : DIGITS_TEST + n] for pool, n in zip(pools, counts, strict=True)])
    names = [str(digit) for digit in range(10)]
    part = {"train": Images(images[train], labels[train]), "test": Images(images[test], labels[test])}
    return Split("digits-lt", ClassTable.of(names, part["train"].labels), **part)


def cifar_lt(name: str, imbalance: float, root: str | None) -> Split:
    """CIFAR-10-LT or CIFAR-100-LT with the exponential profile of the literature (Cui et al. 2019; Cao et al. 2019).

    A full pool of equal classes is drawn from with seed 0; one that is long-tailed already is taken as drawn, in its order.
    """
    pool = cifar_pool(name.removesuffix("-lt"), expanded(root) if root else None)
    classes = len(pool.names)
    counts = exponential_counts(classes, CIFAR_IMAGES // classes, imbalance)
    positions = [np.flatnonzero(pool.train_labels == c) for c in range(classes)]
    full = len({len(p) for p in positions}) == 1
    if full:
        kept = long_tailed_indices(pool.train_labels, counts)
    else:
        pairs = zip(positions, counts, pool.names, strict=True)
        kept = np.concatenate([take(p, n, label) for p, n, label in pairs]).tolist()
    train = Images(pool.train_images(kept), torch.tensor(pool.train_labels[kept]))
    notes = (
        [] if full else ["the training pool is long-tailed already: the first images of each class were taken as drawn"]
    )
    return Split(name, ClassTable.of(pool.names, train.labels), train, pool.test(), notes)


LONG_TAILED = {
    "digits-lt": digits_lt,
    "cifar10-lt": lambda imbalance, root: cifar_lt("cifar10-lt", imbalance, root),
    "cifar100-lt": lambda imbalance, root: cifar_lt("cifar100-lt", imbalance, root),
}
SOURCES = (*LONG_TAILED, *LISTS)
