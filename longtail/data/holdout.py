"""Draws from a data set, the same every time: a share of every class held out, and a long tail cut from a balanced set."""

import numpy as np
from torch import Tensor

from longtail.data.counts import exponential_counts, long_tailed_indices
from longtail.errors import LongtailError

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
