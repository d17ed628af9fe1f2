"""Accuracy of every class against its training images: what the long tail costs."""

import numpy as np

from longtail.analysis.evidence import Evidence
from longtail.analysis.style import (
    APART,
    GROUP,
    QUIET,
    Panels,
    class_axis,
    columns,
    group_bands,
    legend_above,
    log_axis,
    nanmean,
    percent,
)
from longtail.metrics import class_accuracy

LAYOUT = Panels(size=(6.8, 3.9), heights=(3, 1), share_x=True)


def compute(evidence: Evidence) -> dict[str, np.ndarray]:
    """Per class, the largest first: name, group, training and test images, accuracy of the ensemble in percent (nan untested)."""
    order, labels = evidence.order, evidence.labels
    accuracy = class_accuracy(evidence.plain.mean(0).argmax(-1), labels, len(order)).numpy()
    return {
        "name": np.array(evidence.names)[order],
        "group": np.array(evidence.groups)[order],
        "train_images": evidence.counts[order],
        "test_images": np.bincount(labels.numpy(), minlength=len(order))[order],
        "accuracy": 100 * accuracy[order],
    }


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Accuracy a class with the mean of its group; below it the training images."""
    groups, accuracy, rank = arrays["group"], arrays["accuracy"], np.arange(len(arrays["name"]))
    above, below = axes
    for ax in axes:
        group_bands(ax, groups)
    if len(rank) <= APART:
        columns(above, accuracy, groups)
    for name, colour in GROUP.items():
        own = rank[groups == name]
        if not len(own):
            continue
        mean = nanmean(accuracy[own])
        label = f"{name} {percent(mean)} ({len(own):,} {'class' if len(own) == 1 else 'classes'})"
        above.hlines(mean, own[0] - 0.5, own[-1] + 0.5, color=colour, linewidth=2.2, label=label)
        if len(rank) > APART:
            size = np.clip(2500 / len(rank), 1.5, 20)
            above.scatter(own, accuracy[own], size, color=colour, alpha=0.8, linewidths=0, rasterized=len(rank) > 2000)
    untested = rank[np.isnan(accuracy)]
    above.plot(untested, np.full(len(untested), 2.0), "x", color=QUIET, markersize=4)
    above.set(ylim=(0, 100), ylabel="accuracy (%)")
    columns(below, arrays["train_images"], groups)
    log_axis(below.yaxis)
    below.set_ylabel("training\nimages")
    below.set_ylim(bottom=0.7)
    legend_above(above, columns=3)
    class_axis(below, arrays["name"])


def describe(arrays: dict[str, np.ndarray]) -> str:
    """The means of the groups, the best and the worst class."""
    accuracy, groups = arrays["accuracy"], arrays["group"]
    means = ", ".join(f"{g} {percent(nanmean(accuracy[groups == g]))}" for g in GROUP if (groups == g).any())
    untested = int(np.isnan(accuracy).sum())
    text = (
        f"Accuracy of {len(accuracy):,} classes from {arrays['train_images'][0]:,} training images down to "
        f"{arrays['train_images'][-1]:,}: {means}."
    )
    if untested < len(accuracy):
        best, worst = np.nanargmax(accuracy), np.nanargmin(accuracy)
        text += "".join(
            f" {word} is {arrays['name'][i]} ({arrays['train_images'][i]:,} training images) at {percent(accuracy[i])}."
            for word, i in (("Best", best), ("Worst", worst))
        )
    lack = "class has" if untested == 1 else "classes have"
    return text + (f" {untested:,} {lack} no test image (n/a, marked x)." if untested else "")
