"""Loading of data sets by name or by path: digits-lt, CIFAR-LT, the published lists and custom data become splits."""

import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from longtail.data.catalog import FOLDER_SETS, format_data_name, is_custom, unknown_data_error
from longtail.data.cifar import load_cifar_pool
from longtail.data.counts import exponential_counts, long_tailed_indices, take_first
from longtail.data.custom import Listing, ReadOptions, build_split, hold_out, list_custom_data
from longtail.data.holdout import stratified_holdout
from longtail.data.memory import fits_in_memory, keep_in_files, load_into_memory
from longtail.data.published import LISTS, list_published_data
from longtail.data.split import ClassTable, Split, TensorImages
from longtail.errors import LongtailError, expand_path

DIGITS_TEST, DIGITS_LARGEST = 70, 104  # images per class; the rarest digit has 174
CIFAR_IMAGES = 50_000


def load_split(
    data: str, imbalance: float | None, root: str | None = None, reading: ReadOptions = ReadOptions()
) -> Split:
    """Load a known data set by name, or custom data by path; draws use seed 0, whatever the training seed.

    An imbalance of None leaves a set as it is. A set that fits in memory is read and its images are brought to
    `reading.size`; a larger one becomes `LazyImages`. Raises LongtailError for an unknown name, and for files that are
    missing, broken or too few.
    """
    if not isinstance(root, str | os.PathLike | None):
        raise LongtailError(f"root is {root!r}; it takes the path of a folder")
    if data not in LONG_TAILED:
        split = build_split(format_data_name(data), list_data(data, root, reading), imbalance)
        if not reading.verify:
            return split
        if reading.size and fits_in_memory(split, reading.size):
            return load_into_memory(split, reading.size, reading.skip_bad, reading.fit)
        return keep_in_files(split, reading.skip_bad, reading.workers, reading.size)
    if imbalance is None:
        raise LongtailError(f"{data} is cut from a balanced set and needs a number for imbalance")
    refuse_custom_subsets(data, reading)
    split = average_pixels(LONG_TAILED[data](imbalance, root and find_data_root(root, data)), reading.size)
    if reading.val_share:
        kept, held = stratified_holdout(split.train.labels, reading.val_share)
        train, val = split.train.take(kept), split.train.take(held)
        table = ClassTable.from_labels(list(split.classes.names), train.labels)
        split = replace(split, classes=table, train=train, val=val)
    return split


def average_pixels(split: Split, size: int | None) -> Split:
    """Average the images of a known set in squares of pixels to (N, 3, size, size); None leaves the images as they are.

    Raises LongtailError if `size` does not divide their side.
    """
    train, test = split.train, split.test
    assert isinstance(train, TensorImages) and isinstance(test, TensorImages)
    side = train.images.shape[-1]
    if size is None or size == side:
        return split
    if side % size:
        raise LongtailError(
            f"{split.name} has images of {side} x {side}; the views are for {size} x {size}, and {size} does not divide {side}"
        )

    def average(subset: TensorImages) -> TensorImages:
        return TensorImages(avg_pool2d(subset.images.float(), side // size).round().byte(), subset.labels)

    return replace(split, train=average(train), test=average(test))


def find_data_root(root: str, data: str) -> str:
    """Return the folder of a known data set: ROOT/cifar10 for cifar10-lt if that is a folder, else ROOT itself."""
    folder = expand_path(root) / data.removesuffix("-lt")
    return str(folder if folder.is_dir() else expand_path(root))


def list_data(data: str, root: str | None, reading: ReadOptions) -> Listing:
    """List custom data or published lists before any image is read; raises LongtailError for an unknown name."""
    if data in LISTS:
        refuse_custom_subsets(data, reading)
        listing = list_published_data(data, root and find_data_root(root, data))
        hold_out(listing.subsets, "val", reading.val_share, data, listing.names)
        return listing
    if data in FOLDER_SETS:
        refuse_custom_subsets(data, reading)
        if root is None:
            raise LongtailError(
                f"{data} needs --root: a folder with train/ and test/, each with a folder for each class"
            )
        return list_custom_data(find_data_root(root, data), None, reading)
    if not is_custom(data):
        raise unknown_data_error(data)
    return list_custom_data(data, root, reading)


def refuse_custom_subsets(data: str, reading: ReadOptions) -> None:
    """Raise LongtailError if options name or hold out a subset that a known set has already."""
    for flag in ("val", "test", "test_share"):
        if getattr(reading, flag):
            raise LongtailError(f"{data} has a test subset already; leave --{flag.replace('_', '-')} out")
    if reading.group and data not in FOLDER_SETS:
        raise LongtailError(f"group is of images with paths, and those of {data} tell no group; leave --group out")


def load_digits_lt(imbalance: float, root: str | None = None) -> Split:
    """Load scikit-learn's 1,797 handwritten digits of 8 x 8, with 70 test images and at most 104 training images per class."""
    if root is not None:
        raise LongtailError("digits-lt comes with scikit-learn and reads no files; leave --root out")
    rows = np.loadtxt(find_digits_file(), delimiter=",")  # 64 pixels from 0 to 16, and the digit
    gray = torch.from_numpy((rows[:, :-1] * (255 / 16)).round().astype(np.uint8)).view(-1, 1, 8, 8)
    images, labels = gray.repeat(1, 3, 1, 1), torch.from_numpy(rows[:, -1].astype(np.int64))
    counts = exponential_counts(10, DIGITS_LARGEST, imbalance)
    # test images come first in each pool, so they are the same for every imbalance
    pools = np.array(long_tailed_indices(labels, [DIGITS_TEST + DIGITS_LARGEST] * 10)).reshape(10, -1)
    test = pools[:, :DIGITS_TEST].ravel()
    train = np.concatenate([pool[DIGITS_TEST : DIGITS_TEST + n] for pool, n in zip(pools, counts, strict=True)])
    names = [str(digit) for digit in range(10)]
    every = TensorImages(images, labels)
    return Split("digits-lt", ClassTable.from_labels(names, labels[train]), every.take(train), every.take(test))


def find_digits_file() -> Path:
    """Return the file of digits in scikit-learn, whose import takes seconds; raises LongtailError if there is none."""
    package = find_spec("sklearn")
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz" if package and package.origin else None
    if path is None or not path.is_file():
        raise LongtailError("digits-lt needs the digits of scikit-learn; install scikit-learn again")
    return path


def load_cifar_lt(name: str, imbalance: float, root: str | None) -> Split:
    """Load CIFAR-10-LT or CIFAR-100-LT with the exponential profile of the literature (Cui et al. 2019; Cao et al. 2019).

    A balanced pool is drawn from with seed 0. A pool that is long-tailed already gives the first images of each class, in
    its order.
    """
    pool = load_cifar_pool(name.removesuffix("-lt"), expand_path(root) if root else None)
    classes = len(pool.names)
    counts = exponential_counts(classes, CIFAR_IMAGES // classes, imbalance)
    positions = [np.flatnonzero(pool.train_labels == c) for c in range(classes)]
    is_balanced = len({len(p) for p in positions}) == 1
    if is_balanced:
        kept = long_tailed_indices(pool.train_labels, counts)
    else:
        pairs = zip(positions, counts, pool.names, strict=True)
        kept = np.concatenate([take_first(p, n, label) for p, n, label in pairs]).tolist()
    train = TensorImages(pool.train_images(kept), torch.tensor(pool.train_labels[kept]))
    note = "the training pool is long-tailed already: the first images of each class were taken in its order"
    notes = [] if is_balanced else [note]
    return Split(name, ClassTable.from_labels(pool.names, train.labels), train, pool.test(), notes)


LONG_TAILED = {
    "digits-lt": load_digits_lt,
    "cifar10-lt": lambda imbalance, root: load_cifar_lt("cifar10-lt", imbalance, root),
    "cifar100-lt": lambda imbalance, root: load_cifar_lt("cifar100-lt", imbalance, root),
}
