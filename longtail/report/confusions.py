"""Pairs of confused classes by number of images, with the most confident wrong predictions."""

from dataclasses import dataclass

import numpy as np

from longtail.report.summary import RunSummary

PAIRS, EXAMPLES, WORST = 12, 6, 12  # pairs on a page, images of a pair, and worst errors


@dataclass(frozen=True)
class Pair:
    """Test images of class `truth` that are predicted as class `predicted`, and the most confident of them."""

    truth: int
    predicted: int
    images: int
    tested: int  # test images of the true class
    examples: tuple[tuple[int, float], ...]  # position among the test images, confidence

    @property
    def rate(self) -> float:
        """Return the percentage of the true class's test images."""
        return 100 * self.images / self.tested


@dataclass(frozen=True)
class WrongPrediction:
    """A wrong prediction: true and predicted class, position among the test images, confidence."""

    truth: int
    predicted: int
    index: int
    confidence: float


@dataclass(frozen=True)
class Misclassified:
    """The wrong predictions of all seeds, (M,) each: truth, prediction, confidence, position of the image."""

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

    def count_pairs(self) -> list[Pair]:
        """Count every pair that occurs; most images first, then the larger rate, then class order."""
        classes = len(self.tested)
        # unique keys instead of a C x C matrix, which thousands of classes would make large
        keys, inverse, images = np.unique(
            self.truth.astype(np.int64) * classes + self.predicted, return_inverse=True, return_counts=True
        )
        truth, predicted = keys // classes, keys % classes
        order = np.lexsort((keys, -images / self.tested[truth], -images))
        shown = {key: self.find_most_confident(inverse == key) for key in order[:PAIRS]}
        return [
            Pair(int(truth[k]), int(predicted[k]), int(images[k]), int(self.tested[truth[k]]), shown.get(k, ()))
            for k in order
        ]

    def find_worst(self) -> list[WrongPrediction]:
        """Return the most confident wrong predictions, the worst first, each image once."""
        order, worst = np.lexsort((self.index, -self.confidence)), dict[int, WrongPrediction]()
        for row in order:
            if len(worst) == WORST:
                break
            truth, predicted, index = (int(column[row]) for column in (self.truth, self.predicted, self.index))
            wrong = WrongPrediction(truth, predicted, index, float(self.confidence[row]))
            worst.setdefault(wrong.index, wrong)
        return list(worst.values())

    def find_most_confident(self, chosen: np.ndarray) -> tuple[tuple[int, float], ...]:
        """Return position and confidence of the most confident predictions of a (M,) mask."""
        order = np.lexsort((self.index[chosen], -self.confidence[chosen]))
        confidences: dict[int, float] = {}
        for row in order:  # an image that is wrong for several seeds is shown once
            confidences.setdefault(int(self.index[chosen][row]), float(self.confidence[chosen][row]))
        return tuple(confidences.items())[:EXAMPLES]


def find_most_frequent(pairs: list[Pair]) -> dict[int, Pair]:
    """Return the most frequent pair of each class that has a wrong prediction."""
    most: dict[int, Pair] = {}
    for pair in pairs:
        most.setdefault(pair.truth, pair)
    return most
