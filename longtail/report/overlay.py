"""Accuracy by class of several runs in one picture: a figure like those of `longtail.analysis`, from their tables of classes."""

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
DOTS, SMOOTH = 40, 0.08  # classes up to which each has its dot; share of the classes that a moving mean takes in


def compute(summaries: list[RunSummary]) -> dict[str, np.ndarray]:
    """Classes from the most training images to the fewest: (C,) name, group; (R, C) accuracy a run, nan untested; (R,) label."""
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
    """A line a run: through every class where they are few, a moving mean where they are many."""
    (ax,) = axes
    draw_group_bands(ax, arrays["group"])
    classes = len(arrays["name"])
    for at, (label, accuracy) in enumerate(zip(arrays["label"], arrays["accuracy"], strict=True)):
        color = EXPERTS[at % len(EXPERTS)]
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
    """The mean of each group, a run at a time."""
    found = []
    for label, accuracy in zip(arrays["label"], arrays["accuracy"], strict=True):
        groups = dict.fromkeys(arrays["group"])
        means = ", ".join(f"{g} {format_percent(nanmean(accuracy[arrays['group'] == g]))}" for g in groups)
        found.append(f"{label}: {means}.")
    return f"Accuracy of {len(arrays['name']):,} classes by training images. " + " ".join(found)


def draw_overlay(summaries: list[RunSummary]) -> Drawing:
    """The picture, with its arrays in words."""
    arrays = compute(summaries)
    svg = render_bytes(sys.modules[__name__], {"": arrays}, "svg", "longtail report overlay").decode()
    return Drawing(svg, describe(arrays))
