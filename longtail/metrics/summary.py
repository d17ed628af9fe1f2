"""The seven metrics that every model is reported with."""

from collections.abc import Sequence

from torch import Tensor

from longtail.metrics.accuracy import class_accuracy, group_accuracy, nanmean_or_none
from longtail.metrics.calibration import expected_calibration_error
from longtail.metrics.names import METRICS


def summarize(logits: Tensor, labels: Tensor, train_counts: Sequence[int]) -> dict[str, float | None]:
    """Compute top-1, balanced, group and worst-class accuracy and ECE, in percent; None where nothing can be measured.

    (N, C), (N,), C training counts -> a number for each of METRICS. Balanced is the mean of the class accuracies.
    """
    predicted = logits.argmax(-1)
    per_class = class_accuracy(predicted, labels, len(train_counts))
    tested = per_class[~per_class.isnan()]
    shares = {
        "top1": nanmean_or_none((predicted == labels).double()),
        "balanced": nanmean_or_none(tested),
        **group_accuracy(predicted, labels, train_counts),
        "worst": tested.min().item() if len(tested) else None,
        "ece": expected_calibration_error(logits.double().softmax(-1), labels) if len(labels) else None,
    }
    return {name: None if (share := shares[name]) is None else 100 * share for name in METRICS}
