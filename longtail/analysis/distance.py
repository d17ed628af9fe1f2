"""Distance between the features of experts for every class (ECL, Fig. 7 and Eq. 12)."""

from itertools import combinations

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import (
    EXPERTS,
    GROUP,
    Panels,
    add_legend_above,
    draw_group_bands,
    draw_placeholder,
    moving_mean,
    nanmean,
    set_class_axis,
)
from longtail.metrics import feature_distance

LAYOUT = Panels(size=(6.8, 3.2))


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Compute the mean feature distance of each pair of experts for each class, nan without test images.

    Returns name, group, and a column for each pair ("1-2", ...), (C,) each; the class with most training images first.
    """
    order, features = outputs.order, outputs.features
    pairs = combinations(range(len(features)), 2)
    return {
        "name": np.array(outputs.names)[order],
        "group": np.array(outputs.groups)[order],
        **{
            f"{i + 1}-{j + 1}": feature_distance(features[i], features[j], outputs.labels, len(order)).numpy()[order]
            for i, j in pairs
        },
    }


def list_pairs(arrays: dict[str, np.ndarray]) -> list[str]:
    """Return the pairs of experts among the keys of the arrays."""
    return [key for key in arrays if key not in ("name", "group")]


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw a smoothed line for each pair, and a dot for each class."""
    (ax,) = axes
    pairs, rank = list_pairs(arrays), np.arange(len(arrays["name"]))
    if not pairs:
        return draw_placeholder(ax, "n/a: a distance needs two experts, and this run has one")
    draw_group_bands(ax, arrays["group"], named=True)
    for k, pair in enumerate(pairs):
        color = EXPERTS[k % len(EXPERTS)]
        ax.plot(rank, arrays[pair], ".", color=color, markersize=np.clip(400 / len(rank), 1.5, 7), alpha=0.35, mew=0)
        style = ("-", "--", ":")[k // len(EXPERTS) % 3]
        smooth = moving_mean(arrays[pair], len(rank) // 30)  # over a fifteenth of the classes
        ax.plot(rank, smooth, style, color=color, label=f"experts {pair.replace('-', ' and ')}")
    ax.set_ylabel("distance of features (L2)")
    ax.set_ylim(bottom=0)
    set_class_axis(ax, arrays["name"])
    add_legend_above(ax, columns=6)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe the mean distance over all pairs, and in each group."""
    pairs = list_pairs(arrays)
    if not pairs:
        return "Not applicable: a distance needs two experts, and this run has one."
    values = np.stack([arrays[pair] for pair in pairs])
    groups = {name: nanmean(values[:, arrays["group"] == name]) for name in GROUP if (arrays["group"] == name).any()}
    by_group = ", ".join(f"{name} {'n/a' if np.isnan(value) else f'{value:.2f}'}" for name, value in groups.items())
    subject = "two experts" if len(pairs) == 1 else f"two experts, over {len(pairs)} pairs"
    return f"Mean distance between the features of {subject}: {nanmean(values):.2f}; by group: {by_group}."
