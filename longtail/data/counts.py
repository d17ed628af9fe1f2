"""Long-tailed profiles and the seeded draw of the published CIFAR-LT splits (Cui et al. 2019; Cao et al. 2019)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from longtail.errors import LongtailError


def exponential_counts(num_classes: int, largest: int, imbalance: float) -> list[int]:
    """Compute images per class that fall exponentially from `largest` to about `largest / imbalance` (Cui et al. 2019).

    Class 0 is the head. Raises LongtailError for fewer than one class or image, or an imbalance below 1.
    """
    check_profile(num_classes, largest, imbalance)
    last = max(num_classes - 1, 1)
    # 49 * (1 / 49) is below 1 in floating point and must give one image, so a billionth is added
    return [int(largest * (1 / imbalance) ** (i / last) + 1e-9) for i in range(num_classes)]


def pareto_counts(num_classes: int, largest: int, imbalance: float, alpha: float = 6.0) -> list[int]:
    """Compute images per class from the quantiles of a Pareto law, none below `largest / imbalance` (Liu et al. 2019).

    ImageNet-LT is such a draw (alpha 6, 1280 images, imbalance 256). Class 0 is the head. Raises LongtailError as
    `exponential_counts` does.
    """
    check_profile(num_classes, largest, imbalance)
    if alpha <= 0:
        raise LongtailError(f"alpha is {alpha}; the exponent of a Pareto law must be above 0")
    quantile = [((i + 1) / (num_classes + 1)) ** (-1 / alpha) - 1 for i in range(num_classes)]
    return [int(max(largest * (q / quantile[0]), largest / imbalance)) for q in quantile]


def check_profile(num_classes: int, largest: int, imbalance: float) -> None:
    """Raise LongtailError for fewer than one class or image, or an imbalance below 1."""
    if num_classes < 1 or largest < 1:
        raise LongtailError(f"a profile needs a class and an image; got {num_classes} classes, largest {largest}")
    if not imbalance >= 1:
        raise LongtailError(
            f"imbalance is {imbalance}; it must be at least 1, as it divides the largest class by the smallest"
        )


def long_tailed_indices(labels: ArrayLike, counts: Sequence[int], seed: int = 0) -> list[int]:
    """Draw `counts[c]` positions of each class c, class after class, as in Cao et al. 2019: (N,) labels -> M positions.

    Each class is shuffled and its first positions are taken. Raises LongtailError that names a class with too few images.
    """
    label_array = np.asarray(labels)
    # RandomState, and one for all classes, as in the published splits; the draw of a larger imbalance is then a subset
    random = np.random.RandomState(seed)
    kept: list[int] = []
    for label, count in enumerate(counts):
        pool = np.flatnonzero(label_array == label)
        random.shuffle(pool)
        kept.extend(take_first(pool, count, str(label)).tolist())
    return kept


def take_first(pool: np.ndarray, count: int, name: str) -> np.ndarray:
    """Return the first `count` positions of a class's pool; raises LongtailError that names the class if there are fewer."""
    if len(pool) < count:
        raise LongtailError(
            f"class '{name}' needs {count} training images but its pool has {len(pool)}; ask for a larger --imbalance"
        )
    return pool[:count]
