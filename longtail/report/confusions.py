"""Which classes are taken for which: pairs by number of images, with the images that were most surely wrong."""

from dataclasses import dataclass

import numpy as np

from longtail.report.summary import RunSummary

PAIRS, EXAMPLES = 12, 6  # shown


@dataclass(frozen=True)
class Pair:
    """Images of class `truth` that were taken for class `predicted`: how many of how many, and the surest of them."""

    truth: int
    predicted: int
    images: int
    of: int
    surest: tuple[tuple[int, float], ...]  # position among the test images, confidence

    @property
    def rate(self) -> float:
        """Percent of the images of the true class."""
        return 100 * self.images / self.of


@dataclass(frozen=True)
class Misclassified:
    """The wrong predictions of all seeds, (M,) each: truth, prediction, confidence and position of the image."""

    truth: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    index: np.ndarray
    tested: np.ndarray  # (C,) predictions for each true class

    @classmethod
    def load(cls, summary: RunSummary) -> "Misclassified":
        """Read the predictions of every seed; raises LongtailError for a damaged file."""
        columns = [run.predictions for run in summary.runs]
        label, predicted, confidence, index = (
            np.concatenate([column[name] for column in columns])
            for name in ("label", "predicted", "confidence", "index")
        )
        wrong = label != predicted
        tested = np.bincount(label, minlength=len(summary.classes))
        return cls(label[wrong], predicted[wrong], confidence[wrong], index[wrong], tested)

    def pairs(self) -> list[Pair]:
        """Every pair that occurs, most images first, then the larger share of its class, then class order; sparse in C."""
        classes = len(self.tested)
        keys, inverse, images = np.unique(
            self.truth.astype(np.int64) * classes + self.predicted, return_inverse=True, return_counts=True
        )
        truth, predicted = keys // classes, keys % classes
        order = np.lexsort((keys, -images / self.tested[truth], -images))
        shown = {key: self._surest(inverse == key) for key in order[:PAIRS]}
        return [
            Pair(int(truth[k]), int(predicted[k]), int(images[k]), int(self.tested[truth[k]]), shown.get(k, ()))
            for k in order
        ]

    def _surest(self, chosen: np.ndarray) -> tuple[tuple[int, float], ...]:
        order = np.lexsort((self.index[chosen], -self.confidence[chosen]))
        surest: dict[int, float] = {}
        for at in order:  # an image that several seeds got wrong is shown once
            surest.setdefault(int(self.index[chosen][at]), float(self.confidence[chosen][at]))
        return tuple(surest.items())[:EXAMPLES]


def find_most_frequent(pairs: list[Pair]) -> dict[int, Pair]:
    """For each class with a wrong prediction, what it is most often taken for."""
    found: dict[int, Pair] = {}
    for pair in pairs:
        found.setdefault(pair.truth, pair)
    return found
