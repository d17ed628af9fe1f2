"""Accuracy against the number of experts, of all classes and of the few-shot ones (ECL, Fig. 4)."""

from collections.abc import Iterable, Sequence

import numpy as np

from longtail.analysis.evidence import Evidence
from longtail.analysis.points import Point, check_alike, number_of_experts, point, seeds_text, summary
from longtail.analysis.style import ALL, EXPERTS, GROUP, Panels, legend_above, nothing_to_draw, percent

LAYOUT = Panels(size=(7.6, 3.1), widths=(1, 1))
PANELS = {"all": "accuracy, all classes (%)", "few": "accuracy, few-shot classes (%)"}


def points(evidences: Sequence[Evidence]) -> list[Point]:
    """A point for each run, its method being the series and K the number of its experts; raises LongtailError if more differs."""
    check_alike(evidences, free=("experts",))
    return [point(e.recipe.method, number_of_experts(e), e) for e in evidences]


def compute(points: Iterable[Point]) -> dict[str, np.ndarray]:
    """Per series and K: mean and deviation over seeds of both accuracies in percent, and the number of seeds."""
    return summary(points)


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """A line for each series, with the deviation over seeds as bars."""
    series = list(dict.fromkeys(arrays["series"].tolist()))
    colours = {"all": ALL, "few": GROUP["few"]}
    for ax, (key, label) in zip(axes, PANELS.items(), strict=True):
        if np.isnan(arrays[key]).all():
            nothing_to_draw(ax, "n/a: no few-shot class was tested")
            continue
        for i, name in enumerate(series):
            at = arrays["series"] == name
            colour = colours[key] if len(series) == 1 else EXPERTS[i % len(EXPERTS)]
            x, mean, sd = (arrays[k][at] for k in ("x", key, f"{key}_sd"))
            ax.errorbar(x, mean, sd, color=colour, marker="o", markersize=4, capsize=3, label=name)
        ax.set(xlabel="experts K", ylabel=label)
        ax.set_xticks(np.unique(arrays["x"]))
        ax.margins(0.12, 0.2)
        legend_above(ax)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Both accuracies at the fewest and at the most experts, for each series."""
    text = f"Mean over {seeds_text(arrays)}."
    for name in dict.fromkeys(arrays["series"].tolist()):
        at = np.flatnonzero(arrays["series"] == name)
        ends = [
            f"K = {arrays['x'][i]:g}: all {percent(arrays['all'][i])}, few-shot {percent(arrays['few'][i])}"
            for i in dict.fromkeys((at[0], at[-1]))
        ]
        text += f" {name} with {'; with '.join(ends)}."
    return text
