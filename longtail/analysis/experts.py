"""Accuracy against the number of experts, of all classes and of the few-shot ones (ECL, Fig. 4)."""

from collections.abc import Iterable, Sequence

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.points import Point, build_point, check_alike, count_experts, format_seeds, summarize_points
from longtail.analysis.style import ALL, EXPERTS, GROUP, Panels, add_legend_above, draw_placeholder, format_percent

LAYOUT = Panels(size=(7.6, 3.1), widths=(1, 1))
PANELS = {"all": "accuracy, all classes (%)", "few": "accuracy, few-shot classes (%)"}


def points(runs: Sequence[RunOutputs]) -> list[Point]:
    """A point for each run, its method being the series and K the number of its experts; raises LongtailError if more differs."""
    check_alike(runs, free=("experts",))
    return [build_point(e.recipe.method, count_experts(e), e) for e in runs]


def compute(points: Iterable[Point]) -> dict[str, np.ndarray]:
    """Per series and K: mean and deviation over seeds of both accuracies in percent, and the number of seeds."""
    return summarize_points(points)


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """A line for each series, with the deviation over seeds as bars."""
    series = list(dict.fromkeys(arrays["series"].tolist()))
    colors = {"all": ALL, "few": GROUP["few"]}
    for ax, (key, label) in zip(axes, PANELS.items(), strict=True):
        if np.isnan(arrays[key]).all():
            draw_placeholder(ax, "n/a: no few-shot class was tested")
            continue
        for i, name in enumerate(series):
            at = arrays["series"] == name
            color = colors[key] if len(series) == 1 else EXPERTS[i % len(EXPERTS)]
            x, mean, sd = (arrays[k][at] for k in ("x", key, f"{key}_sd"))
            ax.errorbar(x, mean, sd, color=color, marker="o", markersize=4, capsize=3, label=name)
        ax.set(xlabel="experts K", ylabel=label)
        ax.set_xticks(np.unique(arrays["x"]))
        ax.margins(0.12, 0.2)
        add_legend_above(ax)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Both accuracies at the fewest and at the most experts, for each series."""
    text = f"Mean over {format_seeds(arrays)}."
    for name in dict.fromkeys(arrays["series"].tolist()):
        at = np.flatnonzero(arrays["series"] == name)
        ends = [
            f"K = {arrays['x'][i]:g}: all {format_percent(arrays['all'][i])}, few-shot {format_percent(arrays['few'][i])}"
            for i in dict.fromkeys((at[0], at[-1]))
        ]
        text += f" {name} with {'; with '.join(ends)}."
    return text
