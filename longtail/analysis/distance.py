"""How far experts' features are apart, class by class (ECL, Fig. 7 and Eq. 12)."""

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
    """Per class, the largest first, and per pair of experts (`1-2`): the mean distance of their features, nan untested."""
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
    """The pairs of experts among the arrays."""
    return [key for key in arrays if key not in ("name", "group")]


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """A smoothed line for each pair, the classes themselves as dots."""
    (ax,) = axes
    pairs, rank = list_pairs(arrays), np.arange(len(arrays["name"]))
    if not pairs:
        return draw_placeholder(ax, "n/a: a single expert has no pair to compare")
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
    """The mean distance of all pairs, and of each group."""
    pairs = list_pairs(arrays)
    if not pairs:
        return "Not applicable: the run has a single expert, and a distance needs two."
    values = np.stack([arrays[pair] for pair in pairs])
    groups = {name: nanmean(values[:, arrays["group"] == name]) for name in GROUP if (arrays["group"] == name).any()}
    parts = ", ".join(f"{name} {'n/a' if np.isnan(value) else f'{value:.2f}'}" for name, value in groups.items())
    what = "the only pair" if len(pairs) == 1 else f"the {len(pairs)} pairs"
    return f"Mean distance between the features of {what} of experts: {nanmean(values):.2f}; by group: {parts}."
