"""Accuracy by class of several runs in one picture: a figure like those of `longtail.analysis`, from their tables of classes."""

import sys

import numpy as np

from longtail.analysis.picture import Drawing, to_bytes
from longtail.analysis.style import (
    EXPERTS,
    Panels,
    class_axis,
    group_bands,
    legend_above,
    moving_mean,
    nanmean,
    percent,
)
from longtail.report.subject import Subject

LAYOUT = Panels(size=(9.4, 3.6))
DOTS, SMOOTH = 40, 0.08  # classes up to which each has its dot; share of the classes that a moving mean takes in


def compute(subjects: list[Subject]) -> dict[str, np.ndarray]:
    """Classes from the most training images to the fewest: (C,) name, group; (R, C) accuracy a run, nan untested; (R,) label."""
    classes = subjects[0].classes
    order = np.argsort(-np.array(classes.counts), kind="stable")
    accuracy = [[row["plain"] for row in subject.per_class] for subject in subjects]
    return {
        "label": np.array([subject.label for subject in subjects]),
        "name": np.array(classes.names)[order],
        "group": np.array(classes.groups)[order],
        "accuracy": np.array(accuracy, dtype=float)[:, order],
    }


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """A line a run: through every class where they are few, a moving mean where they are many."""
    (ax,) = axes
    group_bands(ax, arrays["group"])
    classes = len(arrays["name"])
    for at, (label, accuracy) in enumerate(zip(arrays["label"], arrays["accuracy"], strict=True)):
        colour = EXPERTS[at % len(EXPERTS)]
        if classes <= DOTS:
            ax.plot(accuracy, "o-", color=colour, markersize=4, linewidth=1.4, label=label, clip_on=False)
            continue
        if classes <= 400:
            ax.plot(accuracy, "o", color=colour, markersize=2, alpha=0.35, markeredgewidth=0)
        ax.plot(moving_mean(accuracy, max(int(SMOOTH * classes) // 2, 2)), color=colour, linewidth=1.8, label=label)
    ax.set(ylim=(0, 100), ylabel="accuracy (%)")
    legend_above(ax)
    class_axis(ax, arrays["name"])


def describe(arrays: dict[str, np.ndarray]) -> str:
    """The mean of each group, a run at a time."""
    found = []
    for label, accuracy in zip(arrays["label"], arrays["accuracy"], strict=True):
        groups = dict.fromkeys(arrays["group"])
        means = ", ".join(f"{g} {percent(nanmean(accuracy[arrays['group'] == g]))}" for g in groups)
        found.append(f"{label}: {means}.")
    return f"Accuracy of {len(arrays['name']):,} classes by training images. " + " ".join(found)


def drawing(subjects: list[Subject]) -> Drawing:
    """The picture, with its arrays in words."""
    arrays = compute(subjects)
    svg = to_bytes(sys.modules[__name__], {"": arrays}, "svg", "longtail report overlay").decode()
    return Drawing(svg, describe(arrays))
