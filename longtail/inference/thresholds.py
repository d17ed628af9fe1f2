"""Thresholds of prediction sets for each class, the calibration images behind them, and what they promise."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from longtail import metrics
from longtail.data import ClassTable
from longtail.errors import LongtailError
from longtail.metrics import GROUPS

if TYPE_CHECKING:
    from longtail.inference.calibration import CalibrationOptions


@dataclass(frozen=True)
class Thresholds:
    """For each of C classes: a threshold, the number of its calibration images, and what the threshold was taken from.

    `sources` holds "class", "group", "all" or "interpolated".
    """

    values: list[float]
    images: list[int]
    sources: list[str]

    @classmethod
    def fit(
        cls, scores: Tensor, labels: Tensor, classes: ClassTable, coverage: float, by: str, score: str, weight: float
    ) -> "Thresholds":
        """Take thresholds from the scores (N,) of the true classes (N,) of calibration images.

        By class or group, one with too few images takes the threshold of its group, or that of all images. Raises
        LongtailError if there are too few images at all, or too few for every class or group.
        """
        images = torch.bincount(labels, minlength=len(classes)).tolist()
        group = torch.tensor([GROUPS.index(name) for name in classes.groups])
        by_class = metrics.mondrian_thresholds(scores, labels, len(classes), coverage)
        by_group = metrics.mondrian_thresholds(scores, group[labels], len(GROUPS), coverage)
        check_enough(len(labels), coverage, "in all")
        pooled = metrics.conformal_threshold(scores, coverage)
        if by == "interpolated":
            mixed = metrics.interpolate_thresholds(by_class, pooled, weight, metrics.largest_score(score, len(classes)))
            return cls(mixed.tolist(), images, [by] * len(classes))
        if by == "class":
            check_enough(max(images), coverage, "of a class")
        if by == "group":
            check_enough(int(torch.bincount(group[labels]).max()), coverage, "of a group")
        choices = {"class": by_class, "group": by_group[group], "all": torch.full_like(by_class, pooled)}
        order = {"class": ("class", "group", "all"), "group": ("group", "all"), "all": ("all",)}[by]
        sources = [next(name for name in order if choices[name][c].isfinite()) for c in range(len(classes))]
        return cls([choices[name][c].item() for c, name in enumerate(sources)], images, sources)

    def by_class(self) -> Tensor:
        """Return the threshold of each class, (C,) float64."""
        return torch.tensor(self.values, dtype=torch.float64)

    def describe(self, classes: ClassTable, options: "CalibrationOptions") -> list[dict]:
        """Return for each class its name, group, calibration images, and the promise for its sets in words."""
        return [
            {"name": name, "group": group, "images": n, "promise": describe_promise(source, group, options.coverage)}
            for name, group, n, source in zip(classes.names, classes.groups, self.images, self.sources, strict=True)
        ]

    def count_sources(self) -> Counter[str]:
        """Return how many classes take their threshold from what."""
        return Counter(self.sources)


def describe_promise(source: str, group: str, coverage: float) -> str:
    """Return in words which images have their class in their set, and how many of them."""
    if source == "interpolated":
        # a class is missing only if its score is above the pooled threshold or above that of its class: two times 1 - coverage
        return f"at least {100 * max(2 * coverage - 1, 0):g} % of all images together"
    of = {"class": "of this class", "group": f"of all {group}-shot classes together", "all": "of all classes together"}
    return f"at least {100 * coverage:g} % of the images {of[source]}"


def check_enough(images: int, coverage: float, where: str) -> None:
    """Raise LongtailError if there are too few calibration images for any threshold."""
    fewest = metrics.fewest_images(coverage)
    if images < fewest:
        most = images / (images + 1)
        raise LongtailError(
            f"coverage is {coverage:g}, which needs at least {fewest:,} calibration images {where}, and there are {images:,}; "
            f"name more images, or ask for at most {math.floor(1000 * most) / 1000:g}"
        )
