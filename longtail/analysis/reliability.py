"""The reliability diagram: accuracy against confidence (ECL, Fig. 9 and Eq. 13; Guo et al. 2017)."""

import numpy as np

from longtail import metrics
from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import EXPERTS, GAP, INK, QUIET, Panels, add_legend_above

LAYOUT = Panels(size=(3.3, 4.2), heights=(3.4, 1), share_x=True)
BINS = 15


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Compute the ensemble's accuracy and mean confidence in each bin, in percent; nan in an empty bin.

    Returns low, share, accuracy and confidence, (15,) each, the ECE of the ensemble, the mean ECE of single experts, and
    the number of experts.
    """
    ensemble, labels = outputs.logits.mean(0).double().softmax(-1), outputs.labels
    share, accuracy, confidence = (100 * values.numpy() for values in metrics.reliability(ensemble, labels, BINS))
    experts = [metrics.expected_calibration_error(z.double().softmax(-1), labels, BINS) for z in outputs.logits]
    is_empty = share == 0
    return {
        "low": 100 * np.arange(BINS) / BINS,
        "share": share,
        "accuracy": np.where(is_empty, np.nan, accuracy),
        "confidence": np.where(is_empty, np.nan, confidence),
        # Eq. 13: the mean gap, weighted by the share of images
        "ece": np.array(np.nansum(share * np.abs(accuracy - confidence)) / 100),
        "experts_ece": np.array(100 * np.mean(experts)),
        "experts": np.array(len(experts)),
    }


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw accuracy and its gap to the confidence in each bin, and the share of images in each bin below."""
    above, below = axes
    width = 100 / BINS
    middle, accuracy, confidence = arrays["low"] + width / 2, arrays["accuracy"], arrays["confidence"]
    above.plot([0, 100], [0, 100], "--", color=QUIET, linewidth=1)
    # the light segment shows accuracy above the confidence, the hatched segment the gap
    low, gap = np.fmin(accuracy, confidence), np.abs(accuracy - confidence)
    above.bar(middle, low, 0.92 * width, color=EXPERTS[0], linewidth=0, label="accuracy")
    above.bar(middle, accuracy - low, 0.92 * width, low, color=EXPERTS[0] + "88", linewidth=0)
    style = {"color": "none", "edgecolor": GAP, "linewidth": 1, "hatch": "/////"}
    above.bar(middle, gap, 0.92 * width, low, label="gap to confidence", **style)
    text = f"ECE {arrays['ece']:.1f} %"
    if arrays["experts"] > 1:
        text += f"\nsingle experts {arrays['experts_ece']:.1f} %"
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}  # high bars may stand behind the text
    above.text(4, 96, text, va="top", fontsize=9, bbox=box)
    above.set(ylim=(0, 100), ylabel="accuracy (%)", xlim=(0, 100))
    below.bar(middle, arrays["share"], 0.92 * width, color=INK, alpha=0.55, linewidth=0)
    below.set(xlabel="confidence (%)", ylabel="images (%)")
    add_legend_above(above, columns=2)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe the ECE, and whether the ensemble is overconfident or underconfident."""
    share, gap = arrays["share"], arrays["confidence"] - arrays["accuracy"]
    bias = np.nansum(share * gap) / 100
    direction = "over" if bias > 0 else "under"
    mean = np.nansum(share * arrays["confidence"]) / 100
    text = f"The expected calibration error over {BINS} bins is {arrays['ece']:.1f} %"
    if arrays["experts"] > 1:
        text += f" for the ensemble and {arrays['experts_ece']:.1f} % on average for a single expert"
    subject = "ensemble" if arrays["experts"] > 1 else "network"
    return (
        f"{text}. The {subject} is {direction}confident by {abs(bias):.1f} points: its mean confidence is {mean:.1f} %, its "
        f"accuracy {mean - bias:.1f} %. The most confident bin holds {share[-1]:.1f} % of the images."
    )
