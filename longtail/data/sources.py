"""Named data sets, ready as splits."""

from pathlib import Path

import numpy as np
import torch

from longtail.data.cifar import cifar_pool
from longtail.data.counts import exponential_counts, long_tailed_indices, take
from longtail.data.split import ClassTable, Images, Split
from longtail.errors import LongtailError, unknown

DIGITS_TEST, DIGITS_LARGEST = 70, 104  # a class; the rarest digit has 174 images
CIFAR_IMAGES = 50_000


def load_split(data: str, imbalance: float, root: str | None = None) -> Split:
    """The named data set, long-tailed with the asked imbalance; always the same draw (seed 0), whatever the training seed.

    Raises LongtailError for an unknown name, and for files that are missing, broken or too few.
    """
    if data not in SOURCES:
        raise unknown("data", data, SOURCES)
    return SOURCES[data](imbalance, root)


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
    pool = cifar_pool(name.removesuffix("-lt"), Path(root).expanduser() if root else None)
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


SOURCES = {
    "digits-lt": digits_lt,
    "cifar10-lt": lambda imbalance, root: cifar_lt("cifar10-lt", imbalance, root),
    "cifar100-lt": lambda imbalance, root: cifar_lt("cifar100-lt", imbalance, root),
}
