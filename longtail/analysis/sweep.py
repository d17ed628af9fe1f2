"""Accuracy against the loss weights alpha (distillation) and beta (contrast) of ECL (Fig. 5 and Eq. 11)."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.points import Point, build_point, check_alike, format_seeds, summarize_points
from longtail.analysis.style import ALL, GROUP, Panels, add_legend_above, draw_placeholder, format_percent
from longtail.errors import LongtailError

LAYOUT = Panels(size=(7.6, 3.1), widths=(1, 1))
SERIES = ("alpha", "beta")


def collect_points(runs: Sequence[RunOutputs]) -> list[Point]:
    """Return the points of the two series: runs that differ from the most common alpha and beta in one of them.

    Runs with the most common pair belong to both series. Raises LongtailError for a method without these options, and
    for a run in which both options or other settings differ.
    """
    check_alike(runs, free=SERIES)
    for outputs in runs:
        if outputs.recipe.method != runs[0].recipe.method:
            raise LongtailError(f"{outputs.run.path} and {runs[0].run.path} are of two methods; a sweep is of one")
        if not set(SERIES) <= outputs.recipe.options.keys():
            raise LongtailError(
                f"{outputs.run.path}: {outputs.recipe.method} does not have both options, alpha and beta"
            )
    # the sweep varies one option around the most common value of the other
    pairs = [tuple(outputs.recipe.options[name] for name in SERIES) for outputs in runs]
    usual = [Counter(values).most_common(1)[0][0] for values in zip(*pairs, strict=True)]
    points = []
    for outputs, (alpha, beta) in zip(runs, pairs, strict=True):
        if alpha != usual[0] and beta != usual[1]:
            raise LongtailError(
                f"{outputs.run.path} has alpha {alpha} and beta {beta}, but a sweep changes only one of them, "
                f"starting from alpha {usual[0]} and beta {usual[1]}"
            )
        if beta == usual[1]:
            points.append(build_point("alpha", alpha, outputs))
        if alpha == usual[0]:
            points.append(build_point("beta", beta, outputs))
    return points


def compute(points: Iterable[Point]) -> dict[str, np.ndarray]:
    """Compute mean and standard deviation over seeds of both accuracies in percent, for each value of alpha and beta."""
    return summarize_points(points)


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw a panel for each weight: accuracy of all and of few-shot classes, the deviation over seeds as error bars."""
    for ax, name in zip(axes, SERIES, strict=True):
        in_series = arrays["series"] == name
        if in_series.sum() < 2:
            draw_placeholder(ax, f"no run varies {name}")
            continue
        for key, color, label in (("all", ALL, "all"), ("few", GROUP["few"], "few-shot")):
            x, mean, sd = (arrays[k][in_series] for k in ("x", key, f"{key}_sd"))
            if not np.isnan(mean).all():
                ax.errorbar(x, mean, sd, color=color, marker="o", markersize=4, capsize=3, label=label)
        ax.set(xlabel=f"{name} (Eq. 11)", ylabel="accuracy (%)")
        if in_series.sum() <= 8:
            ax.set_xticks(arrays["x"][in_series], [f"{x:g}" for x in arrays["x"][in_series]])
        ax.margins(0.1, 0.2)
        add_legend_above(ax)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe the best and the worst value of each weight."""
    text = f"Mean over {format_seeds(arrays)}."
    for name in SERIES:
        rows = np.flatnonzero(arrays["series"] == name)
        if len(rows) > 1:
            x, accuracy = arrays["x"][rows], arrays["all"][rows]
            best, worst = accuracy.argmax(), accuracy.argmin()
            text += (
                f" {name} from {x.min():g} to {x.max():g}: best {format_percent(accuracy[best])} at {x[best]:g}, "
                f"worst {format_percent(accuracy[worst])} at {x[worst]:g}."
            )
    return text
