"""Reliability before and after calibration: accuracy against confidence (Guo et al. 2017)."""

import numpy as np

from longtail import metrics
from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import ALL, EXPERTS, QUIET, Panels, add_legend_above

LAYOUT = Panels(size=(3.6, 3.6))
BINS = 15


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Compute the ensemble's accuracy and mean confidence in each bin, in percent, nan in an empty bin, and ECE.

    Returns share, accuracy and confidence, (15,) each, and the ECE, each with the suffix _before and _after, and the
    temperature.
    """
    z, labels, temperature = outputs.logits.mean(0).double(), outputs.labels, outputs.calibration.temperature
    arrays: dict[str, np.ndarray] = {"temperature": np.array(temperature)}
    for when, divisor in (("before", 1.0), ("after", temperature)):
        share, accuracy, confidence = (
            100 * values.numpy() for values in metrics.reliability((z / divisor).softmax(-1), labels, BINS)
        )
        is_empty = share == 0
        arrays |= {
            f"share_{when}": share,
            f"accuracy_{when}": np.where(is_empty, np.nan, accuracy),
            f"confidence_{when}": np.where(is_empty, np.nan, confidence),
            f"ece_{when}": np.array((share * np.abs(accuracy - confidence)).sum() / 100),
        }
    return arrays


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw a line of points before and one after; the area of a point grows with its share of the images."""
    (ax,) = axes
    ax.plot([0, 100], [0, 100], "--", color=QUIET, linewidth=1)
    for when, color, name in (("before", EXPERTS[1], "as trained"), ("after", ALL, "calibrated")):
        x, y, share = (arrays[f"{key}_{when}"] for key in ("confidence", "accuracy", "share"))
        there = ~np.isnan(x)
        ax.plot(x[there], y[there], color=color, linewidth=1, alpha=0.5)
        ax.plot([], [], "o", color=color, markersize=4, label=f"{name}, ECE {arrays[f'ece_{when}']:.1f} %")
        ax.scatter(x[there], y[there], 6 + 2 * share[there], color=color, linewidth=0)
    ax.set(xlim=(0, 102), ylim=(0, 102), xlabel="confidence (%)", ylabel="accuracy (%)")
    add_legend_above(ax, columns=1)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe the ECE before and after, and what the temperature does."""
    t = float(arrays["temperature"])
    effect = "more" if t < 1 else "less"
    return (
        f"A temperature of {t:.2f} makes the probabilities {effect} confident. The expected calibration error on the test "
        f"images goes from {arrays['ece_before']:.1f} % to {arrays['ece_after']:.1f} %."
    )
