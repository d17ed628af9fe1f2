"""Long-tailed profiles and the seeded draw of the published CIFAR-LT splits (Cui et al. 2019; Cao et al. 2019)."""

from collections.abc import Sequence

import numpy as np

from longtail.errors import LongtailError


def exponential_counts(num_classes: int, largest: int, imbalance: float) -> list[int]:
    """Images per class, falling exponentially from `largest` to about `largest / imbalance` (Cui et al. 2019).

    Class 0 is the head. Raises LongtailError for fewer than one class or image, or an imbalance below 1.
    """
    _check(num_classes, largest, imbalance)
    last = max(num_classes - 1, 1)
    # a billionth more, so that 49 * (1 / 49), which is less than 1 in floating point, is an image
    return [int(largest * (1 / imbalance) ** (i / last) + 1e-9) for i in range(num_classes)]


def pareto_counts(num_classes: int, largest: int, imbalance: float, alpha: float = 6.0) -> list[int]:
    """Images per class following the quantiles of a Pareto law, none below `largest / imbalance` (Liu et al. 2019).

    ImageNet-LT is such a draw (alpha 6, 1280 images, imbalance 256). Class 0 is the head. Raises as `exponential_counts`.
    """
    _check(num_classes, largest, imbalance)
    if alpha <= 0:
        raise LongtailError(f"alpha is {alpha}; the power of a Pareto law is above 0")
    quantile = [((i + 1) / (num_classes + 1)) ** (-1 / alpha) - 1 for i in range(num_classes)]
    return [int(max(largest * (q / quantile[0]), largest / imbalance)) for q in quantile]


def _check(num_classes: int, largest: int, imbalance: float) -> None:
    if num_classes < 1 or largest < 1:
        raise LongtailError(f"a profile needs a class and an image; got {num_classes} classes, largest {largest}")
    if not imbalance >= 1:
        raise LongtailError(f"imbalance is {imbalance}; it is the largest class over the smallest, so at least 1")


def long_tailed_indices(labels: Sequence[int], counts: Sequence[int], seed: int = 0) -> list[int]:
    """Positions kept, class-major: of each class in turn, the first `counts[c]` after a shuffle (Cao et al. 2019).

    One generator serves all classes, so splits of several imbalances nest. Raises LongtailError naming a class whose pool
    is too small.
    """
    labels = np.asarray(labels)
    random = np.random.RandomState(seed)
    kept = []
    for label, count in enumerate(counts):
        pool = np.flatnonzero(labels == label)
        random.shuffle(pool)
        kept.extend(take_first(pool, count, str(label)).tolist())
    return kept


def take_first(pool: np.ndarray, count: int, name: str) -> np.ndarray:
    """The first `count` of a class's pool; raises LongtailError with the class's name if it has fewer."""
    if len(pool) < count:
        raise LongtailError(
            f"class '{name}' needs {count} training images but its pool has {len(pool)}; ask for a larger --imbalance"
        )
    return pool[:count]
