"""What a calibrated run decides on its test images: prediction sets by group, calibration, an estimated class prior."""

from dataclasses import dataclass

import numpy as np
import torch

from longtail import metrics
from longtail.analysis import RunOutputs
from longtail.analysis.sets import compute as compute_sets
from longtail.errors import LongtailError
from longtail.inference.decisions import Decider, DecisionOptions, estimate_log_target

BY = {
    "all": "one threshold for all classes",
    "group": "a threshold for each group of classes",
    "class": "a threshold for each class with enough calibration images",
    "interpolated": "thresholds between that of the class and that of all classes",
}


@dataclass(frozen=True)
class SetRow:
    """A group of classes: their number, their calibration images, and coverage in percent and mean size of the sets."""

    name: str
    classes: int
    images: int
    fewest: int
    coverage: float | None
    size: float | None


@dataclass(frozen=True)
class ShownDecisions:
    """The table of prediction sets with its caption, and sentences on what else the calibration changes."""

    caption: str
    rows: list[SetRow]
    sentences: list[str]


def build_decisions(outputs: RunOutputs) -> ShownDecisions:
    """Measure a calibrated run on its test images; raises LongtailError for a damaged calibration."""
    calibration, found = outputs.calibration, compute_sets(outputs)
    options, groups = calibration.options, np.array(outputs.groups)
    images = np.array(calibration.thresholds.images)
    rows = []
    for name, coverage, size in zip(found["name"], found["coverage"], found["size"], strict=True):
        members = np.full(len(groups), True) if name == "all" else groups == name
        if members.any():
            numbers = (None, None) if np.isnan(coverage) else (float(coverage), float(size))
            rows.append(
                SetRow(name, int(members.sum()), int(images[members].sum()), int(images[members].min()), *numbers)
            )
    caption = (
        f"Prediction sets on {len(outputs.labels):,} test images; asked: {100 * options.coverage:g} % hold their class; "
        f"score {options.score}, {BY[options.by]}"
    )
    return ShownDecisions(caption, rows, [*describe_source(outputs), *describe_effects(outputs)])


def describe_source(outputs: RunOutputs) -> list[str]:
    """Return where the calibration images come from, and whether test images are among them."""
    images = outputs.calibration.images
    sentences = [
        "A set always holds the predicted class, so it is never empty, and coverage may be above what was asked."
    ]
    sentences += [f"Calibrated on {images['count']:,} images ({images['source']})."]
    if images["tested"] is None:
        sentences.append("They could not be compared with the images of the run, which were not there.")
    elif images["tested"]:
        sentences.append(
            f"{images['tested']:,} of them are test images, so the numbers here are better than for new images."
        )
    return sentences


def describe_effects(outputs: RunOutputs) -> list[str]:
    """Return what the temperature does to the ECE, and an estimated class prior to accuracy, on the test images."""
    z, labels, calibration = outputs.logits.mean(0), outputs.labels, outputs.calibration
    before, after = (
        100 * metrics.expected_calibration_error((z.double() / t).softmax(-1), labels)
        for t in (1.0, calibration.temperature)
    )
    sentences = [f"Temperature {calibration.temperature:.2f}: ECE {before:.1f} % as trained, {after:.1f} % calibrated."]
    try:
        target, _ = estimate_log_target(calibration, outputs.method, [z])
    except LongtailError:  # too few test images, or a prior that is not known
        return sentences
    decider = Decider(calibration, DecisionOptions(), outputs.method, (), None, target, is_estimated=True)
    numbers = [measure_accuracy(logits, labels, len(outputs.names)) for logits in (z, decider.adjust(z))]
    texts = ["top-1 {:.1f} %, mean of classes {:.1f} %".format(*pair) for pair in numbers]
    return [*sentences, f"Class prior as trained: {texts[0]}; estimated from the test images: {texts[1]}."]


def measure_accuracy(logits: torch.Tensor, labels: torch.Tensor, classes: int) -> tuple[float, float]:
    """Return top-1 and the mean of class accuracies in percent: (N, C), (N,)."""
    predicted = logits.argmax(-1)
    by_class = metrics.class_accuracy(predicted, labels, classes)
    return 100 * (predicted == labels).double().mean().item(), 100 * by_class.nanmean().item()
