"""Reliability diagram: is the model as often right as it is sure? (ECL, Fig. 9 and Eq. 13; Guo et al. 2017)"""

import numpy as np

from longtail import metrics
from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import EXPERTS, GAP, INK, QUIET, Panels, add_legend_above

LAYOUT = Panels(size=(3.3, 4.2), heights=(3.4, 1), share_x=True)
BINS = 15


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Per bin of confidence: share of the images, accuracy, mean confidence; the ECE of the ensemble and of the experts' mean.

    All in percent; an empty bin has share 0 and nan.
    """
    ensemble, labels = outputs.logits.mean(0).double().softmax(-1), outputs.labels
    found = [values.numpy() for values in metrics.reliability(ensemble, labels, BINS)]
    share, accuracy, confidence = (100 * values for values in found)
    experts = [metrics.expected_calibration_error(z.double().softmax(-1), labels, BINS) for z in outputs.logits]
    empty = share == 0
    return {
        "low": 100 * np.arange(BINS) / BINS,
        "share": share,
        "accuracy": np.where(empty, np.nan, accuracy),
        "confidence": np.where(empty, np.nan, confidence),
        "ece": np.array(np.nansum(share * np.abs(accuracy - confidence)) / 100),
        "experts_ece": np.array(100 * np.mean(experts)),
        "experts": np.array(len(experts)),
    }


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Accuracy and its gap to the confidence in each bin; below it how many images each bin holds."""
    above, below = axes
    width = 100 / BINS
    middle, accuracy, confidence = arrays["low"] + width / 2, arrays["accuracy"], arrays["confidence"]
    above.plot([0, 100], [0, 100], "--", color=QUIET, linewidth=1)
    low, gap = np.fmin(accuracy, confidence), np.abs(accuracy - confidence)
    above.bar(middle, low, 0.92 * width, color=EXPERTS[0], linewidth=0, label="accuracy")
    above.bar(middle, accuracy - low, 0.92 * width, low, color=EXPERTS[0] + "88", linewidth=0)
    above.bar(
        middle,
        gap,
        0.92 * width,
        low,
        color="none",
        edgecolor=GAP,
        linewidth=1,
        hatch="/////",
        label="gap to confidence",
    )
    text = f"ECE {arrays['ece']:.1f} %"
    if arrays["experts"] > 1:
        text += f"\nexperts {arrays['experts_ece']:.1f} %"
    above.text(4, 96, text, va="top", fontsize=9)
    above.set(ylim=(0, 100), ylabel="accuracy (%)", xlim=(0, 100))
    below.bar(middle, arrays["share"], 0.92 * width, color=INK, alpha=0.55, linewidth=0)
    below.set(xlabel="confidence (%)", ylabel="images (%)")
    add_legend_above(above, columns=2)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """ECE, and whether the model is too sure or not sure enough."""
    share, gap = arrays["share"], arrays["confidence"] - arrays["accuracy"]
    lean = np.nansum(share * gap) / 100
    manner = "too sure" if lean > 0 else "not sure enough"
    mean = np.nansum(share * arrays["confidence"]) / 100
    text = f"The expected calibration error over {BINS} bins is {arrays['ece']:.1f} %"
    if arrays["experts"] > 1:
        text += f" for the ensemble and {arrays['experts_ece']:.1f} % for a single expert on average"
    return (
        f"{text}. On average the ensemble is {abs(lean):.1f} points {manner}: mean confidence {mean:.1f} %, "
        f"accuracy {mean - lean:.1f} %; {share[-1]:.1f} % of the images are in the most confident bin."
    )
