"""Accuracy against alpha, the weight of the distillations, and beta, that of the contrast (ECL, Fig. 5 and Eq. 11)."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.points import Point, build_point, check_alike, format_seeds, summarize_points
from longtail.analysis.style import ALL, GROUP, Panels, add_legend_above, draw_placeholder, format_percent
from longtail.errors import LongtailError

LAYOUT = Panels(size=(7.6, 3.1), widths=(1, 1))
SERIES = ("alpha", "beta")


def points(runs: Sequence[RunOutputs]) -> list[Point]:
    """A point for each run in the sweep of the option by which it differs from the commonest pair, that pair being in both.

    Raises LongtailError for a method without these options, and a run in which both, or other settings, differ.
    """
    check_alike(runs, free=SERIES)
    for outputs in runs:
        if not set(SERIES) <= outputs.recipe.options.keys():
            raise LongtailError(f"{outputs.run.path}: {outputs.recipe.method} has not both of alpha and beta")
    pairs = [tuple(outputs.recipe.options[name] for name in SERIES) for outputs in runs]
    usual = [Counter(values).most_common(1)[0][0] for values in zip(*pairs, strict=True)]
    found = []
    for outputs, (alpha, beta) in zip(runs, pairs, strict=True):
        if alpha != usual[0] and beta != usual[1]:
            raise LongtailError(
                f"{outputs.run.path} has alpha {alpha} and beta {beta}, but a sweep changes one of them only, "
                f"from alpha {usual[0]} and beta {usual[1]}"
            )
        if beta == usual[1]:
            found.append(build_point("alpha", alpha, outputs))
        if alpha == usual[0]:
            found.append(build_point("beta", beta, outputs))
    return found


def compute(points: Iterable[Point]) -> dict[str, np.ndarray]:
    """Per series ("alpha", "beta") and value: mean and deviation over seeds of the accuracies in percent, number of seeds."""
    return summarize_points(points)


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """A panel for each weight: accuracy of all and of the few-shot classes, the deviation over seeds as bars."""
    for ax, name in zip(axes, SERIES, strict=True):
        at = arrays["series"] == name
        if not at.any():
            draw_placeholder(ax, f"no run for {name}")
            continue
        for key, color, label in (("all", ALL, "all"), ("few", GROUP["few"], "few-shot")):
            x, mean, sd = (arrays[k][at] for k in ("x", key, f"{key}_sd"))
            if not np.isnan(mean).all():
                ax.errorbar(x, mean, sd, color=color, marker="o", markersize=4, capsize=3, label=label)
        ax.set(xlabel=f"{name} (Eq. 11)", ylabel="accuracy (%)")
        if at.sum() <= 8:
            ax.set_xticks(arrays["x"][at], [f"{x:g}" for x in arrays["x"][at]])
        ax.margins(0.1, 0.2)
        add_legend_above(ax)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """The best and the worst value of each weight."""
    text = f"Mean over {format_seeds(arrays)}."
    for name in SERIES:
        at = np.flatnonzero(arrays["series"] == name)
        if len(at) > 1:
            best, worst = at[arrays["all"][at].argmax()], at[arrays["all"][at].argmin()]
            text += (
                f" {name} from {arrays['x'][at].min():g} to {arrays['x'][at].max():g}: "
                f"best {format_percent(arrays['all'][best])} at {arrays['x'][best]:g}, worst {format_percent(arrays['all'][worst])} at {arrays['x'][worst]:g}."
            )
    return text
