"""Draws from a set: a share of every class held out, and a long tail cut from a balanced set; the same every time."""

import numpy as np
from torch import Tensor

from longtail.data.counts import exponential_counts, long_tailed_indices
from longtail.errors import LongtailError


def stratified_holdout(labels: Tensor, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Positions kept and positions held out, a share of every class, ascending; (N,) -> (N - M,), (M,).

    A class of two or more images gives at least one and keeps at least one; a class of one keeps it.
    """
    labels, random = labels.numpy(), np.random.RandomState(seed)
    order = np.argsort(labels, kind="stable")
    held = np.zeros(len(labels), dtype=bool)
    for pool in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        random.shuffle(pool)
        held[pool[: min(max(round(share * len(pool)), 1), len(pool) - 1)]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def cut_long_tail(labels: Tensor, names: list[str], imbalance: float, seed: int = 0) -> list[int]:
    """Positions of the largest exponential tail that a set holds, class 0 being the head, class-major; (N,) -> M positions.

    Raises LongtailError for a class without images, before or after.
    """
    pool = np.bincount(labels.numpy(), minlength=len(names))
    if not pool.all():
        raise LongtailError(
            f"class '{names[int(pool.argmin())]}' has no training images, so --imbalance cannot cut a tail; leave it out"
        )
    largest = int(pool[0])
    while (np.array(exponential_counts(len(names), largest, imbalance)) > pool).any():
        largest -= 1
    counts = exponential_counts(len(names), largest, imbalance)
    if not all(counts):
        raise LongtailError(
            f"imbalance is {imbalance:g}, which leaves class '{names[-1]}' no training image; of the largest class the tail "
            f"keeps {largest}, so ask for at most {largest}"
        )
    return long_tailed_indices(labels, counts, seed)
