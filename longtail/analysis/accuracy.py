"""Test accuracy of every class, sorted by training images."""

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import (
    APART,
    GROUP,
    QUIET,
    Panels,
    add_legend_above,
    draw_columns,
    draw_group_bands,
    format_percent,
    nanmean,
    set_class_axis,
    set_log_axis,
)
from longtail.metrics import class_accuracy

LAYOUT = Panels(size=(6.8, 3.9), heights=(3, 1), share_x=True)


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Compute the ensemble's accuracy of each class in percent, nan without test images; the largest class first.

    Returns name, group, train_images, test_images and accuracy, (C,) each.
    """
    order, labels = outputs.order, outputs.labels
    accuracy = class_accuracy(outputs.logits.mean(0).argmax(-1), labels, len(order)).numpy()
    return {
        "name": np.array(outputs.names)[order],
        "group": np.array(outputs.groups)[order],
        "train_images": outputs.counts[order],
        "test_images": np.bincount(labels.numpy(), minlength=len(order))[order],
        "accuracy": 100 * accuracy[order],
    }


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw the accuracy of each class with the means of the groups, and the training images below."""
    groups, accuracy, rank = arrays["group"], arrays["accuracy"], np.arange(len(arrays["name"]))
    above, below = axes
    for ax in axes:
        draw_group_bands(ax, groups)
    if len(rank) <= APART:
        draw_columns(above, accuracy, groups)
    # few classes are bars, many are dots; a line over each group shows the mean
    for name, color in GROUP.items():
        members = rank[groups == name]
        if not len(members):
            continue
        mean, noun = nanmean(accuracy[members]), "class" if len(members) == 1 else "classes"
        label = f"{name} {format_percent(mean)} ({len(members):,} {noun})"
        above.hlines(mean, members[0] - 0.5, members[-1] + 0.5, color=color, linewidth=2.2, label=label)
        if len(rank) > APART:
            size = np.clip(2500 / len(rank), 1.5, 20)
            style = {"color": color, "alpha": 0.8, "linewidths": 0, "rasterized": len(rank) > 2000}
            above.scatter(members, accuracy[members], size, **style)
    # a cross near 0 marks a class without test images
    untested = rank[np.isnan(accuracy)]
    above.plot(untested, np.full(len(untested), 2.0), "x", color=QUIET, markersize=4)
    above.set(ylim=(0, 100), ylabel="accuracy (%)")
    draw_columns(below, arrays["train_images"], groups)
    set_log_axis(below.yaxis)
    below.set_ylabel("training\nimages")
    below.set_ylim(bottom=0.7)
    add_legend_above(above, columns=3)
    set_class_axis(below, arrays["name"])


def find_extremes(accuracy: np.ndarray, tested: np.ndarray) -> tuple[int, int]:
    """Return the best and the worst class by accuracy (C,), nan without test images; of equal ones that with most images."""
    return int(np.lexsort((-tested, -accuracy))[0]), int(np.lexsort((-tested, accuracy))[0])


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe the means of the groups, and the best and the worst class."""
    accuracy, groups = arrays["accuracy"], arrays["group"]
    means = ", ".join(f"{g} {format_percent(nanmean(accuracy[groups == g]))}" for g in GROUP if (groups == g).any())
    untested = int(np.isnan(accuracy).sum())
    text = (
        f"Accuracy of {len(accuracy):,} classes, from {arrays['train_images'][0]:,} training images down to "
        f"{arrays['train_images'][-1]:,}: {means}."
    )
    if untested < len(accuracy):
        for word, i in zip(("Best", "Worst"), find_extremes(accuracy, arrays["test_images"]), strict=True):
            trained, tested = arrays["train_images"][i], arrays["test_images"][i]
            text += (
                f" {word} class: {arrays['name'][i]} ({trained:,} training images), {format_percent(accuracy[i])} of"
            )
            text += f" {tested:,} test image{'' if tested == 1 else 's'}."
    subject = "class has" if untested == 1 else "classes have"
    return text + (f" {untested:,} {subject} no test image (n/a, marked x)." if untested else "")
