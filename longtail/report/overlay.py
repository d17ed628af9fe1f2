"""Accuracy by class of several runs in one picture, a figure module like those of `longtail.analysis`."""

import sys

import numpy as np

from longtail.analysis.picture import Drawing, render_bytes
from longtail.analysis.style import (
    EXPERTS,
    Panels,
    add_legend_above,
    draw_group_bands,
    format_percent,
    moving_mean,
    nanmean,
    set_class_axis,
)
from longtail.report.summary import RunSummary

LAYOUT = Panels(size=(9.4, 3.6))
DOTS, SMOOTH = 40, 0.08  # most classes with a dot each; share of the classes in the window of a moving mean


def compute(summaries: list[RunSummary]) -> dict[str, np.ndarray]:
    """Return name and group of the classes (C,), label of the runs (R,), and accuracy in percent (R, C).

    The class with most training images comes first; accuracy is nan without test images.
    """
    classes = summaries[0].classes
    order = np.argsort(-np.array(classes.counts), kind="stable")
    accuracy = [[row["plain"] for row in summary.per_class] for summary in summaries]
    return {
        "label": np.array([summary.label for summary in summaries]),
        "name": np.array(classes.names)[order],
        "group": np.array(classes.groups)[order],
        "accuracy": np.array(accuracy, dtype=float)[:, order],
    }


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw a line for each run, through every class or, above 40 classes, through a moving mean."""
    (ax,) = axes
    draw_group_bands(ax, arrays["group"])
    classes = len(arrays["name"])
    for i, (label, accuracy) in enumerate(zip(arrays["label"], arrays["accuracy"], strict=True)):
        color = EXPERTS[i % len(EXPERTS)]
        if classes <= DOTS:
            ax.plot(accuracy, "o-", color=color, markersize=4, linewidth=1.4, label=label, clip_on=False)
            continue
        if classes <= 400:
            ax.plot(accuracy, "o", color=color, markersize=2, alpha=0.35, markeredgewidth=0)
        ax.plot(moving_mean(accuracy, max(int(SMOOTH * classes) // 2, 2)), color=color, linewidth=1.8, label=label)
    ax.set(ylim=(0, 100), ylabel="accuracy (%)")
    add_legend_above(ax)
    set_class_axis(ax, arrays["name"])


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe the mean accuracy of each group for each run."""
    sentences = []
    for label, accuracy in zip(arrays["label"], arrays["accuracy"], strict=True):
        groups = dict.fromkeys(arrays["group"])
        means = ", ".join(f"{g} {format_percent(nanmean(accuracy[arrays['group'] == g]))}" for g in groups)
        sentences.append(f"{label}: {means}.")
    return f"Accuracy of {len(arrays['name']):,} classes by training images. " + " ".join(sentences)


def draw_overlay(summaries: list[RunSummary]) -> Drawing:
    """Draw the picture and describe its arrays in words."""
    arrays = compute(summaries)
    svg = render_bytes(sys.modules[__name__], {"": arrays}, "svg", "longtail report overlay").decode()
    return Drawing(svg, describe(arrays))
