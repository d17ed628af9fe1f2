"""Draws from a data set, the same every time: a share of every class held out, and a long tail cut from a balanced set."""

import numpy as np
from torch import Tensor

from longtail.data.counts import exponential_counts, long_tailed_indices
from longtail.errors import LongtailError

ABSENT = 0.5  # cost of a class without held-out images: any of two equal groups is better than none
DEFAULT_TEST_SHARE = 0.2  # of every class, where a data set has no test images


def stratified_holdout(labels: Tensor, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw a share of every class: (N,) labels -> (N - M,) positions kept and (M,) positions held out, both ascending.

    A class of two or more images gives at least one and keeps at least one; a class of one keeps its image.
    """
    label_array, random = labels.numpy(), np.random.RandomState(seed)
    order = np.argsort(label_array, kind="stable")
    is_held = np.zeros(len(label_array), dtype=bool)
    for pool in np.split(order, np.flatnonzero(np.diff(label_array[order])) + 1):
        random.shuffle(pool)
        is_held[pool[: min(max(round(share * len(pool)), 1), len(pool) - 1)]] = True
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def grouped_holdout(labels: Tensor, groups: np.ndarray, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw whole groups with about a share of every class: (N,) labels, (N,) numbers -> positions kept and held out.

    Every class keeps an image. A class of two or more groups gives at least one, unless the group holds all that is left
    of another class. scikit-learn's StratifiedGroupKFold makes folds of one size, and most folds lack a class of few groups.
    """
    label_array, (_, number) = labels.numpy(), np.unique(groups, return_inverse=True)
    draw = GroupDraw(label_array, number, share)
    random = np.random.RandomState(seed)
    for pool in sorted(draw.split_by_class(), key=len):  # classes of few groups choose first
        random.shuffle(pool)
        draw.fill(pool)
    is_held = draw.is_held[number]
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


class GroupDraw:
    """The groups that are held out so far, and the images of each class in them."""

    def __init__(self, labels: np.ndarray, number: np.ndarray, share: float):
        classes = int(labels.max()) + 1
        pairs, self.counts = np.unique(number * classes + labels, return_counts=True)  # images of a class in a group
        self.groups, self.classes = np.divmod(pairs, classes)
        self.starts = np.searchsorted(self.groups, np.arange(int(number.max()) + 2))
        self.total = np.bincount(labels, minlength=classes)
        self.target = np.minimum(np.maximum(np.round(share * self.total), 1), self.total - 1)
        self.held = np.zeros(classes, dtype=np.int64)
        self.is_held = np.zeros(int(number.max()) + 1, dtype=bool)

    def split_by_class(self) -> list[np.ndarray]:
        """Return for each class the positions of its entries in `groups`, `classes` and `counts`."""
        order = np.argsort(self.classes, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(self.classes[order])) + 1)

    def fill(self, pool: np.ndarray) -> None:
        """Hold out groups of a class in the order of the pool while they fit, then those that come nearest to the share."""
        label, groups = self.classes[pool[0]], self.groups[pool]
        for group, count in zip(groups, self.counts[pool], strict=True):
            is_mixed = self.starts[group + 1] - self.starts[group] > 1
            if self.held[label] + count <= self.target[label] and not (is_mixed and self.compute_change(group) >= 0):
                self.take(group)
        while self.held[label] < self.target[label]:
            best = min(groups, key=self.compute_change)
            if self.compute_change(best) >= 0:
                return
            self.take(best)

    def take(self, group: int) -> None:
        """Hold out a group."""
        rows = slice(self.starts[group], self.starts[group + 1])
        self.held[self.classes[rows]] += self.counts[rows]
        self.is_held[group] = True

    def compute_change(self, group: int) -> float:
        """Compute by how much the cost changes if a group is held out; it is infinite if a class lost its last image.

        The cost of a class is the distance from its share, as a part of its images, and ABSENT more while none is held out.
        """
        rows = slice(self.starts[group], self.starts[group + 1])
        classes, counts = self.classes[rows], self.counts[rows]
        before, total, target = self.held[classes], self.total[classes], self.target[classes]
        after = before + counts
        if self.is_held[group] or (after >= total).any():
            return float("inf")
        change = (np.abs(after - target) - np.abs(before - target)) / total - ABSENT * (before == 0)
        return float(change.sum())


def cut_long_tail(labels: Tensor, names: list[str], imbalance: float, seed: int = 0) -> list[int]:
    """Draw the largest exponential tail that a set holds: (N,) labels -> M positions, class after class.

    The head is the class with the most images, and classes with equally many stay in their order. Raises LongtailError for
    a class without images, before the draw or after.
    """
    pool = np.bincount(labels.numpy(), minlength=len(names))
    if not pool.all():
        raise LongtailError(
            f"class '{names[int(pool.argmin())]}' has no training images, so --imbalance cannot cut a tail; leave it out"
        )
    order = np.argsort(-pool, kind="stable")
    # a class in the middle may be the one that limits the tail, so there is no closed form
    largest = int(pool.max())
    while ((profile := np.array(exponential_counts(len(names), largest, imbalance))) > pool[order]).any():
        largest -= 1
    if not profile.all():
        raise LongtailError(
            f"imbalance is {imbalance:g}, which leaves class '{names[order[-1]]}' no training image; the tail keeps "
            f"{largest} images of the largest class, so ask for at most {largest}"
        )
    counts = np.empty_like(profile)
    counts[order] = profile
    return long_tailed_indices(labels, counts.tolist(), seed)
