"""Draws from a data set, the same every time: a share of every class held out, and a long tail cut from a balanced set."""

import numpy as np
from torch import Tensor

from longtail.data.counts import exponential_counts, long_tailed_indices
from longtail.errors import LongtailError


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
    """Draw the largest exponential tail that a set holds, class after class, class 0 being the head: (N,) -> M positions.

    Where that would leave a class without images, because the set is not balanced, the classes are ordered by their images
    instead, and each keeps at most what the profile of the largest class allows. Raises LongtailError for a class without
    images.
    """
    pool = np.bincount(labels.numpy(), minlength=len(names))
    if not pool.all():
        raise LongtailError(
            f"class '{names[int(pool.argmin())]}' has no training images, so --imbalance cannot cut a tail; leave it out"
        )
    # a class in the middle may be the one that limits the tail, so there is no closed form
    largest = int(pool[0])
    while (np.array(exponential_counts(len(names), largest, imbalance)) > pool).any():
        largest -= 1
    counts = exponential_counts(len(names), largest, imbalance)
    if not all(counts):
        profile, order = exponential_counts(len(names), int(pool.max()), imbalance), np.argsort(-pool, kind="stable")
        allowed = np.empty(len(names), dtype=np.int64)
        allowed[order] = np.maximum(profile, 1)
        counts = np.minimum(pool, allowed).tolist()
    return long_tailed_indices(labels, counts, seed)
